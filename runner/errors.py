"""The exception whose message is shown to the user."""

from typing import Any

FAILED = 1
USAGE = 2


class CoursehubError(Exception):
    """One line for the user: what went wrong, where, and what to do.

    ``exit_code`` is 1 if the work failed and 2 if the command line or the pillar is wrong. ``document`` is the part of
    the verb's ``--json`` document that is known despite the failure.
    """

    def __init__(self, message: str, *, exit_code: int = FAILED, document: dict[str, Any] | None = None) -> None:
        super().__init__(" ".join(message.split()))
        self.exit_code = exit_code
        self.document = document or {}
