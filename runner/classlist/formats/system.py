"""The description of a system's exports, and the search for the system that exported a file."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from runner.classlist.text import plain

#: Reads a row by kind of fact: ``row("email")`` is the cell's text, or an empty string.
Row = Callable[[str], str]


def _somebody(_row: Row) -> bool:
    return False


def _nothing(_header: frozenset[str]) -> tuple[str, ...]:
    return ()


@dataclass(frozen=True)
class System:
    """The exports of one system. Column names are spelled as the system spells them.

    ``marks``: sets of columns that only this system has together. ``columns``: names that only this system uses, by the
    fact that they contain. ``sample``: an export of the two people of all samples; the tests read it.
    ``nobody``: whether a row is not a person. ``drop``: facts that are not in a column despite the column's name.
    """

    name: str
    marks: tuple[tuple[str, ...], ...]
    sample: str
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    nobody: Callable[[Row], bool] = _somebody
    drop: Callable[[frozenset[str]], tuple[str, ...]] = _nothing


@functools.cache
def known() -> tuple[System, ...]:
    """All systems, by name."""
    here = Path(__file__).parent
    modules = (f"{__package__}.{one.name}" for one in pkgutil.iter_modules([str(here)]) if one.name != "system")
    return tuple(sorted((importlib.import_module(name).SYSTEM for name in modules), key=lambda one: one.name))


def of_header(header: Iterable[str]) -> System | None:
    """The system that exports these columns (in ``plain`` form): the one with the most columns of its own."""
    there = set(header)
    fitting = [
        (len(mark), system.name, system)
        for system in known()
        for mark in system.marks
        if there.issuperset(map(plain, mark))
    ]
    return max(fitting)[2] if fitting else None


def own_names(kind: str) -> tuple[str, ...]:
    """Column names for one kind of fact that only one system uses."""
    return tuple(name for system in known() for name in system.columns.get(kind, ()))


def own_kinds() -> tuple[str, ...]:
    """Kinds of facts for which a system has columns of its own."""
    return tuple(dict.fromkeys(kind for system in known() for kind in system.columns))
