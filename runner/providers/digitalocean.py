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
    """The account that DIGITALOCEAN_ACCESS_TOKEN gives access to."""

    name = "DigitalOcean"
    costs = True
    keeps_backups = False
    name_servers: tuple[str, ...] = ("ns1.digitalocean.com", "ns2.digitalocean.com", "ns3.digitalocean.com")
    zone: str | None = None

    def connect(self, state: Path, report: Report) -> Provider:
        """Connect to the account. Raises CoursehubError (2) without a usable token."""
        return _account()

    visit = connect

    def seen(self, state: Path, course_id: str) -> Seen | None:
        """None: only the provider knows."""
        return None

    def usable(self, state: Path) -> bool:
        """Whether a token is set."""
        return bool(os.environ.get("DIGITALOCEAN_ACCESS_TOKEN"))

    def ready(self) -> str:
        """This computer needs nothing but a token, which ``connect`` checks."""
        return "makes servers in its data centres"

    def ca_bundle(self, state: Path) -> Path | None:
        """None, the system's own: its hubs have publicly trusted certificates."""
        return None

    def mistakes(self, course: Course) -> Iterator[tuple[str, str]]:
        """None: sizes and images change, and ``up`` checks them before it makes anything."""
        return iter(())

    def tidy(self, state: Path, report: Report) -> None:
        """Nothing to stop on this computer."""


def _account() -> Cloud:
    """DigitalOcean with the token of DIGITALOCEAN_ACCESS_TOKEN. Raises CoursehubError (2) without a usable one."""
    # If it was pasted on Windows, it ends with a carriage return.
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
