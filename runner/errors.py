"""The one exception that a user sees."""

from typing import Any

FAILED = 1
USAGE = 2


class CoursehubError(Exception):
    """What went wrong, where, and what to do, in one line for the user.

    ``exit_code`` is 1 when the work failed and 2 when the command line or the pillar is wrong. ``document`` is what the
    verb has of its ``--json`` document all the same.
    """

    def __init__(self, message: str, *, exit_code: int = FAILED, document: dict[str, Any] | None = None) -> None:
        super().__init__(" ".join(message.split()))
        self.exit_code = exit_code
        self.document = document or {}
