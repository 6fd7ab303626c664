"""DigitalOcean as one of the providers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from runner.cloud import Provider, digitalocean_cloud
from runner.course import Course
from runner.providers.kind import Report, Seen


class DigitalOcean:
    """The account that DIGITALOCEAN_ACCESS_TOKEN opens."""

    name = "DigitalOcean"
    costs = True
    zone: str | None = None

    def connect(self, state: Path, report: Report) -> Provider:
        """The account. Raises CoursehubError (2) without a usable token."""
        return digitalocean_cloud()

    visit = connect

    def seen(self, state: Path, course_id: str) -> Seen | None:
        """Nothing: only the provider knows."""
        return None

    def usable(self, state: Path) -> bool:
        """Whether a token is set."""
        return bool(os.environ.get("DIGITALOCEAN_ACCESS_TOKEN"))

    def ready(self) -> str:
        """Nothing is needed of this computer but a token, which ``connect`` looks at."""
        return "makes servers in its data centres"

    def ca_bundle(self, state: Path) -> Path | None:
        """The system's own: its hubs have certificates that everybody trusts."""
        return None

    def mistakes(self, course: Course) -> Iterator[tuple[str, str]]:
        """None: sizes and images change, and ``up`` asks for them before it makes anything."""
        return iter(())

    def tidy(self, state: Path, report: Report) -> None:
        """Nothing runs here for it."""
