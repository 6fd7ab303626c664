"""A course that is up, as tests use it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.support.sandbox import Sandbox


@dataclass(frozen=True)
class Hub:
    """A course that is up: its id, the document that ``up`` printed, and the working copy it was run in."""

    course: str
    document: dict[str, Any]
    sandbox: Sandbox

    def run(self, script: str, seconds: int = 120) -> str:
        """A shell script as root on the server."""
        return self.sandbox.on_server(self.course, script, seconds)
