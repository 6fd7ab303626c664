"""Names below a course's wildcard record: /etc/hosts has no wildcards, so each name is written into it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from runner.files import write_whole
from runner.local import dns
from runner.local.identity import Identity
from runner.local.store import Domain

_DIRECTORY = "names"


def set_names(state: Path, course_id: str, names: Iterable[str]) -> None:
    """Set the names of a course that browsers on this host must find, if a wildcard record covers them."""
    path = Identity.of(state).directory / _DIRECTORY / f"{course_id}.json"
    path.parent.mkdir(mode=0o700, exist_ok=True)
    write_whole(path, json.dumps(sorted(names)), 0o600)


def files(home: Path) -> list[Path]:
    """The files with the names of each course of the cloud with the directory ``home``."""
    return sorted((home / _DIRECTORY).glob("*.json"))


def names(home: Path) -> list[str]:
    """All names of all courses of the cloud with the directory ``home``."""
    found: set[str] = set()
    for path in files(home):
        try:
            found.update(json.loads(path.read_text()))
        except (OSError, ValueError):
            continue
    return sorted(found)


def addresses(home: Path, domains: list[Domain]) -> dict[str, str]:
    """The names that a wildcard record covers now, each with its address."""
    found = {}
    for name in names(home):
        address = dns.wildcard_address(name, domains)
        if address:
            found[name] = address
    return found
