"""Turns the rows of a table into people."""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from runner.classlist import teams
from runner.classlist.columns import HEAD_ROWS, find_header
from runner.classlist.entry import ClassFile, Entry, refused
from runner.classlist.formats import Row, System, of_header
from runner.classlist.tables import MAX_BYTES, MAX_LINES, rows
from runner.classlist.words import is_absent, is_sum, role_of
from runner.course.roles import Role
from runner.errors import USAGE, CoursehubError

#: The maximum number of wrong lines in one message; if there are more, it is probably the wrong file.
_SHOWN = 20
_EMAIL = re.compile(r"[^@\s<>,;]+@[^@\s<>,;]+\.[^@\s<>,;]+")
#: What people type into a cell that has no value.
_NOTHING = frozenset({"-", "--", "–", "—", "n/a", "na", "none", "null", "#n/a"})
_MARKS = ("email", "login", "number")


def read(path: Path, encoding: str | None = None) -> ClassFile:
    """Read a class list. ``encoding`` is Python's name of an encoding, for files that are not UTF.

    Raises CoursehubError (2) for a file that does not exist, is not a table, has no column that tells people apart, or
    has invalid lines; it names the lines if there are any. No message contains a person's name.
    """
    shown = path.name
    try:
        size = path.stat().st_size
        content = path.read_bytes() if size <= MAX_BYTES else b""
    except FileNotFoundError as error:
        raise CoursehubError(
            f"{path}: there is no such file; give the path of the exported list", exit_code=USAGE
        ) from error
    except (IsADirectoryError, PermissionError) as error:
        raise CoursehubError(
            f"{path}: cannot be read ({error.strerror}); give another file", exit_code=USAGE
        ) from error
    if size > MAX_BYTES:
        raise refused(shown, f"has {size // 1024**2} MB, which no class list has", "export the list alone")
    notes: list[str] = []
    try:
        table = list(rows(content, shown, encoding, notes))
    except csv.Error as error:
        raise refused(shown, f"is not a table ({error})", "export it again as CSV") from error
    found = parse(table, shown)
    return ClassFile(found.system, found.entries, [*notes, *found.notes], found.doubts)


def parse(table: Sequence[tuple[int, Sequence[str]]], shown: str) -> ClassFile:
    """The people of a table, given as rows with their line numbers. Raises the same errors as ``read``."""
    if not any(any(row) for _, row in table):
        raise refused(shown, "is empty", "export the list again")
    start, columns, header = find_header(table, shown)
    system = of_header(header)
    for kind in system.drop(frozenset(header)) if system and "login" in columns else ():
        columns.pop(kind, None)
    reading = _Reading(columns, system)
    for number, row in table[start + 1 :]:
        reading.line(number, row)
    reading.refuse_wrong_lines(shown)
    if len(reading.entries) > MAX_LINES:
        raise refused(shown, f"has {len(reading.entries)} people, which no course has", "export one course's list")
    if not reading.entries:
        raise refused(shown, "has column names and nobody below them", "export the list again, with its people")
    return ClassFile(system.name if system else "the table", reading.entries, reading.notes, reading.doubts)


def exported_by(content: bytes) -> str | None:
    """The system that exported these bytes, in any encoding or as a spreadsheet; None if it is unknown."""
    try:
        _, _, header = find_header(list(itertools.islice(rows(content, ""), HEAD_ROWS)), "")
    except (CoursehubError, csv.Error):
        return None
    system = of_header(header)
    return system.name if system else None


@dataclass
class _Reading:
    """Reads the rows of one file, one after the other."""

    columns: dict[str, int]
    system: System | None
    entries: list[Entry] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    wrong: list[tuple[int, str]] = field(default_factory=list)
    #: The full name of each team, by its short name.
    teams: dict[str, str] = field(default_factory=dict)

    def line(self, number: int, row: Sequence[str]) -> None:
        """Read one row. It is a person or nobody; problems are recorded as notes, doubts or mistakes."""

        def cell(kind: str) -> str:
            at = self.columns.get(kind)
            value = row[at] if at is not None and at < len(row) else ""
            if kind in ("number", "login"):
                value = value.removeprefix("#").strip()
            return "" if kind in _MARKS and value.casefold() in _NOTHING else value

        if not any(row) or (self.system and self.system.nobody(cell)):
            return
        if is_absent(cell("state")):
            self.notes.append(f"line {number} is left out: its state is {cell('state')}")
            return
        name = _name(cell)
        if any(cell(kind) for kind in _MARKS):
            self._person(number, cell, name)
        elif is_sum(name):
            self.notes.append(f"line {number} is left out: it is the head of a sum or a date, and no person")
        elif name:
            if any(kind in self.columns for kind in _MARKS):
                self.doubts.append(
                    f"line {number} has a name and no email address, login or number: is it a person? If not, remove "
                    "the line"
                )
            self._person(number, cell, name)

    def _person(self, number: int, cell: Row, name: str) -> None:
        email, login = cell("email") or None, cell("login") or None
        if login and _EMAIL.fullmatch(login):
            email, login = email or login, None
        if email and not _EMAIL.fullmatch(email):
            self.wrong.append((number, "the value in the email column is no email address"))
            return
        name = name or login or (email or "").partition("@")[0]
        if not name:
            self.wrong.append((number, "neither name, email address nor login"))
            return
        self.entries.append(
            Entry(
                line=number,
                name=name[:200],
                email=email,
                login=login,
                number=cell("number") or None,
                github=cell("github").removeprefix("@") or None,
                role=self._role(number, cell("role")),
                groups=self._groups(number, cell("groups")) if "groups" in self.columns else None,
            )
        )

    def _role(self, number: int, text: str) -> Role | None:
        role = role_of(text) if text else None
        if text and role is None:
            self.notes.append(f"line {number}: {text!r} is no role here; a new person becomes a student")
        return role

    def _groups(self, number: int, text: str) -> tuple[str, ...]:
        found = []
        for name in teams.names_in(text):
            short = teams.short(name)
            before = self.teams.setdefault(short, name)
            if before.casefold() != name.casefold():
                self.wrong.append((number, f"the teams {before!r} and {name!r} would be one, {short}; rename one"))
            elif before is name and teams.is_made_up(name, short):
                self.notes.append(f"the team {name!r} is called {short} on the server")
            found.append(short)
        return tuple(dict.fromkeys(found))

    def refuse_wrong_lines(self, shown: str) -> None:
        """Raise one error for all invalid lines."""
        if not self.wrong:
            return
        if len(self.wrong) == 1:
            ((number, what),) = self.wrong
            raise CoursehubError(f"{shown}:{number}: {what}; correct it in the file", exit_code=USAGE)
        listed = "; ".join(f"line {number}: {what}" for number, what in self.wrong[:_SHOWN])
        more = f"; and {len(self.wrong) - _SHOWN} more" if len(self.wrong) > _SHOWN else ""
        raise CoursehubError(
            f"{shown}: {len(self.wrong)} lines are wrong: {listed}{more}; correct them in the file", exit_code=USAGE
        )


def _name(cell: Row) -> str:
    first, last = cell("first"), cell("last")
    if first or last:
        # In Chinese, Japanese and Korean the family name comes first, without a space.
        return f"{last}{first}" if _is_cjk(first + last) else f"{first} {last}".strip()
    # "Last, First", as Canvas writes it.
    last, comma, first = cell("name").partition(",")
    return f"{first} {last}".strip() if comma else cell("name")


def _is_cjk(text: str) -> bool:
    return bool(text) and all("\u3040" <= letter <= "\u9fff" or "\uac00" <= letter <= "\ud7a3" for letter in text)
