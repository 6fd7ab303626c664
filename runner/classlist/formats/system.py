"""What is to be known of a system's exports, and finding the system that a file came from."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from runner.classlist.text import plain

#: A row by the kinds of facts: ``row("email")`` is the cell as it stands there, or nothing.
Row = Callable[[str], str]


def _somebody(_row: Row) -> bool:
    return False


def _nothing(_header: frozenset[str]) -> tuple[str, ...]:
    return ()


@dataclass(frozen=True)
class System:
    """The exports of one system. Names of columns are written as the system writes them.

    ``marks``: sets of columns that no other system has together. ``columns``: names that only it uses, by the fact that
    they hold. ``sample``: an export with its first lines, people invented; the tests read it. ``nobody``: whether a row
    is no person. ``drop``: facts that a header of the system does not hold, though the column's name says so.
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
    """The system that exports such columns (in ``plain`` writing): the one with the most of its own."""
    there = set(header)
    fitting = [
        (len(mark), system.name, system)
        for system in known()
        for mark in system.marks
        if there.issuperset(map(plain, mark))
    ]
    return max(fitting)[2] if fitting else None


def own_names(kind: str) -> tuple[str, ...]:
    """Names of columns for one kind of fact that only one system uses."""
    return tuple(name for system in known() for name in system.columns.get(kind, ()))


def own_kinds() -> tuple[str, ...]:
    """Kinds of facts that systems have columns of their own for."""
    return tuple(dict.fromkeys(kind for system in known() for kind in system.columns))
