"""What a provider is before anybody has asked it: how its account is opened, and what this computer knows by itself."""

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
    """A provider. ``state`` is always the working copy's directory for what git does not see.

    Methods that open an account raise CoursehubError when that cannot be.
    """

    name: str
    """What the user calls it."""
    costs: bool
    """Whether its servers cost money; then other computers can reach and change them too."""
    zone: str | None
    """The one zone that its addresses must be in; None when that is the account's matter."""

    def connect(self, state: Path, report: Report) -> Provider:
        """The account, ready for whatever a verb makes."""

    def visit(self, state: Path, report: Report) -> Provider:
        """The account for verbs that change nothing: what runs is taken as it is."""

    def seen(self, state: Path, course_id: str) -> Seen | None:
        """What this computer knows of the course's server; None where only the provider knows."""

    def usable(self, state: Path) -> bool:
        """Whether there is an account that can be asked now."""

    def ready(self) -> str:
        """What servers need of this computer, as words for a reader. Raises CoursehubError for what is missing."""

    def ca_bundle(self, state: Path) -> Path | None:
        """What to verify its hubs' certificates with; None is the system's own."""

    def mistakes(self, course: Course) -> Iterator[tuple[str, str]]:
        """Keys of a course file whose values this provider never has, each with what is wrong. Asks no network."""

    def tidy(self, state: Path, report: Report) -> None:
        """After a server was deleted: end what is needed for servers alone."""
