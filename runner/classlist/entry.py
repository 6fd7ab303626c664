"""The entries that a class list file is read into."""

from __future__ import annotations

from dataclasses import dataclass, field

from runner.course.roles import Role
from runner.errors import USAGE, CoursehubError


@dataclass(frozen=True)
class Entry:
    """One person from one line of the file. ``groups`` is None if the file has no groups."""

    line: int
    name: str
    email: str | None = None
    login: str | None = None
    number: str | None = None
    github: str | None = None
    role: Role | None = None
    groups: tuple[str, ...] | None = None

    @property
    def identity(self) -> tuple[str, str]:
        """The most reliable identification on the line."""
        for kind, value in (("number", self.number), ("email", self.email), ("login", self.login)):
            if value:
                return kind, value.casefold()
        return "name", self.name


@dataclass(frozen=True)
class ClassFile:
    """The content of a file: the system that exported it, its people, and why lines were left out.

    ``doubts`` are questions, each with its line, that a person must answer before the list is used.
    """

    system: str
    entries: list[Entry]
    notes: list[str]
    doubts: list[str] = field(default_factory=list)


def refused(shown: str, what: str, do: str) -> CoursehubError:
    """The error for a file that is not a class list. ``shown`` is the file's name."""
    return CoursehubError(f"{shown} {what}; {do}", exit_code=USAGE)
