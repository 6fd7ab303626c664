"""What every verb on one course starts with: its session, and the checks before anything is changed."""

from runner.session.opening import connect, nothing_here, reach, visit
from runner.session.session import CHECK_ACCOUNT, Session

__all__ = ["CHECK_ACCOUNT", "Session", "connect", "nothing_here", "reach", "visit"]
