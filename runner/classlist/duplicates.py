"""Finds lines of a file that describe one person: an LMS lists people in two sections, or with two roles, twice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from runner.classlist.entry import Entry
from runner.classlist.text import plain
from runner.course.roles import ROLES, Role
from runner.errors import USAGE, CoursehubError

_KINDS = {"number": "number", "email": "email address", "login": "login"}


def one_line_each(entries: Sequence[Entry]) -> tuple[list[Entry], list[str]]:
    """Merge the lines of each person into one; return the people and the questions about repeated people.

    Raises CoursehubError (2) that names all lines that share a number, email address or login but describe different
    people, and lines that share a name and have nothing else to tell two people apart.
    """
    people: list[Entry] = []
    doubts: list[str] = []
    wrong: list[str] = []
    for group in _groups(entries):
        if len(group) == 1:
            people += group
        elif clash := _clash(group):
            wrong.append(clash)
        else:
            joined, asked = _join(group)
            people.append(joined)
            doubts += asked
    if wrong:
        raise CoursehubError("; ".join(wrong), exit_code=USAGE)
    return sorted(people, key=lambda one: one.line), doubts


def _groups(entries: Sequence[Entry]) -> Iterable[list[Entry]]:
    """Group lines that share a number, an email address or a login; lines without all three are grouped by name."""
    found: dict[int, list[Entry]] = {}
    by_mark: dict[tuple[str, str], int] = {}
    for entry in entries:
        marks = [(kind, value.casefold()) for kind in _KINDS if (value := getattr(entry, kind))]
        marks = marks or [("name", plain(entry.name) or entry.name)]
        known = sorted({by_mark[mark] for mark in marks if mark in by_mark})
        home = known[0] if known else len(by_mark) + entry.line * 1_000_000
        group = found.setdefault(home, [])
        for other in known[1:]:
            group += found.pop(other)
        group.append(entry)
        for one in group:
            values = [(kind, value.casefold()) for kind in _KINDS if (value := getattr(one, kind))]
            by_mark |= dict.fromkeys(values or [("name", plain(one.name) or one.name)], home)
    return [sorted(group, key=lambda one: one.line) for group in found.values()]


def lines(group: Sequence[Entry]) -> str:
    """``lines 2, 5 and 7``."""
    numbers = [str(one.line) for one in group]
    return f"lines {', '.join(numbers[:-1])} and {numbers[-1]}"


def _clash(group: list[Entry]) -> str | None:
    where = lines(group)
    if not any(getattr(group[0], kind) for kind in _KINDS):
        return (
            f"{where} have one name and nothing to tell two people apart; export the list with email addresses or "
            "numbers"
        )
    shared = next(
        (
            kind
            for kind in _KINDS
            if len({str(getattr(one, kind)).casefold() for one in group}) == 1 and getattr(group[0], kind)
        ),
        None,
    )
    have = f"have one {_KINDS[shared]}" if shared else "share a number, email address or login"
    for kind, word in _KINDS.items():
        values = {value.casefold() for one in group if (value := getattr(one, kind))}
        if len(values) > 1:
            return f"{where} {have} and {len(values)} different {word}{'es' if kind == 'email' else 's'}; correct them"
    if len({plain(one.name) for one in group}) > 1:
        return f"{where} {have} and different names; correct the lines"
    return None


def _join(group: list[Entry]) -> tuple[Entry, list[str]]:
    doubts = []
    roles = {one.role for one in group if one.role}
    role: Role | None = min(roles, key=ROLES.index, default=None)
    if len(roles) > 1:
        doubts.append(f"{lines(group)} are one person with different roles, taken as {role}: is that right?")
    named = [one.groups for one in group if one.groups is not None]
    teams = tuple(dict.fromkeys(team for groups in named for team in groups))
    if len({frozenset(groups) for groups in named}) > 1:
        doubts.append(f"{lines(group)} are one person in different teams, taken as a member of all: is that right?")

    def known(kind: str) -> str | None:
        return next((value for one in group if (value := getattr(one, kind))), None)

    joined = replace(
        group[0],
        email=known("email"),
        login=known("login"),
        number=known("number"),
        github=known("github"),
        role=role,
        groups=teams if named else None,
    )
    return joined, doubts
