"""DigitalOcean as one of the providers."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from runner.cloud import Cloud, Provider
from runner.course import Course
from runner.errors import USAGE, CoursehubError
from runner.providers.kind import Report, Seen

ENDPOINT = "https://api.digitalocean.com/v2/"


class DigitalOcean:
    """The account that DIGITALOCEAN_ACCESS_TOKEN opens."""

    name = "DigitalOcean"
    costs = True
    zone: str | None = None

    def connect(self, state: Path, report: Report) -> Provider:
        """The account. Raises CoursehubError (2) without a usable token."""
        return _account()

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


def _account() -> Cloud:
    """DigitalOcean with the token of DIGITALOCEAN_ACCESS_TOKEN. Raises CoursehubError (2) without a usable one."""
    # Pasted on Windows it ends in a carriage return.
    token = os.environ.get("DIGITALOCEAN_ACCESS_TOKEN", "").strip()
    if not token:
        raise CoursehubError(
            "cloud: digitalocean needs a token: make one in the control panel (API, Tokens) and set "
            "DIGITALOCEAN_ACCESS_TOKEN, or write cloud: local",
            exit_code=USAGE,
        )
    if not re.fullmatch(r"[\x21-\x7e]+", token):
        raise CoursehubError(
            "DIGITALOCEAN_ACCESS_TOKEN has a space, a line break or a letter in it that no token has; copy the token "
            "again, as one line",
            exit_code=USAGE,
        )
    endpoint = os.environ.get("DIGITALOCEAN_END_POINT", "").strip() or ENDPOINT
    if not re.fullmatch(r"https?://[^\s/]+(/\S*)?", endpoint):
        raise CoursehubError(
            f"DIGITALOCEAN_END_POINT is no web address: {endpoint!r}; unset it, or write one such as {ENDPOINT}",
            exit_code=USAGE,
        )
    return Cloud("DigitalOcean", endpoint, token)
