"""Gives students of a running course what ``term.py`` makes."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path

from tests.support.hub import Hub

_TERM = Path(__file__).with_name("term.py")
#: The size of a home.
MEGABYTES = 50
#: Seconds that it may take to fill all homes.
LONGEST = 900


def fill(hub: Hub, accounts: Sequence[str]) -> int:
    """Give everybody a term's work; returns all bytes."""
    return give(hub, "fill", str(MEGABYTES), accounts)


def give(hub: Hub, what: str, how: str, accounts: Sequence[str]) -> int:
    """Run ``term.py`` on the server: ``fill`` with megabytes, or ``hour`` with a seed. Returns all new bytes."""
    words = shlex.join([what, how, *accounts])
    said = hub.run(f"python3 -I - {words} << 'TERM'\n{_TERM.read_text(encoding='utf-8')}\nTERM\n", seconds=LONGEST)
    given = dict(json.loads(line) for line in said.splitlines())
    if set(given) != set(accounts):
        raise SystemExit(f"only {len(given)} of {len(accounts)} homes could be filled")
    return sum(given.values())
