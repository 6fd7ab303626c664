"""The interface of a provider: how to connect to its account, and what this computer knows without asking it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from runner.cloud import Provider
from runner.course import Course

Report = Callable[[str], None]


@dataclass(frozen=True)
class Seen:
    """What this computer knows of a course's server without asking the provider.

    ``state`` is none, off or active. ``answers`` says whether the provider can be asked for more now.
    """

    state: str
    answers: bool
    id: int = 0
    ip: str | None = None
    size: str = ""


class Kind(Protocol):
    """A provider. ``state`` is always the working copy's state directory.

    Methods that connect to an account raise CoursehubError if that fails.
    """

    name: str
    """What the user calls it."""
    costs: bool
    """Whether its servers cost money; then other computers can reach and change them too."""
    keeps_backups: bool
    """Whether it has a place for the backups of a course without targets."""
    name_servers: tuple[str, ...]
    """The name servers to which a school delegates its domain; a provider that costs something has some."""
    zone: str | None
    """The only zone for its addresses; None if that depends on the account."""

    def connect(self, state: Path, report: Report) -> Provider:
        """The account, ready for any verb."""

    def visit(self, state: Path, report: Report) -> Provider:
        """The account for verbs that change nothing: nothing is started."""

    def seen(self, state: Path, course_id: str) -> Seen | None:
        """What this computer knows of the course's server; None if only the provider knows."""

    def usable(self, state: Path) -> bool:
        """Whether there is an account that can be asked now."""

    def ready(self) -> str:
        """What servers need on this computer, as text. Raises CoursehubError for what is missing."""

    def ca_bundle(self, state: Path) -> Path | None:
        """The file to verify its hubs' certificates with; None for the system's own."""

    def mistakes(self, course: Course) -> Iterator[tuple[str, str]]:
        """Keys of a course file whose values this provider can never have, each with the reason. Uses no network."""

    def tidy(self, state: Path, report: Report) -> None:
        """Stop what only servers need. Called after a server was deleted."""
