"""``up`` and ``down`` over a bad network and with kills, with three seeds: never two droplets, and nothing left."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.support.bad_line import BadLine
from tests.support.local_api import Api
from tests.support.storm import (
    UP,
    ids,
    killed,
    left,
    line,  # noqa: F401
    quick,  # noqa: F401
    until,
)

pytestmark = [pytest.mark.unit, pytest.mark.timeout(300)]


def test_storm_makes_one_and_leaves_none(coursehub: Any, api: Api, line: BadLine) -> None:
    """A quarter of all calls fail, in eleven ways, and the API lists late."""
    until(coursehub, api, "up", says=UP)
    made = ids(api)
    until(coursehub, api, "up", says=UP)
    assert ids(api) == made
    until(coursehub, api, "down")
    assert left(api) == []
    assert len(line.happened) >= 5, line.happened


def test_fault_4_kills_make_one_and_leave_none(coursehub: Any, api: Api, line: BadLine) -> None:
    """kill -9 before or after a call that the seed chooses, five times in ``up`` and three times in ``down``.

    The network is bad too.
    """
    chance = random.Random(line.seed)
    deaths = 0
    for _ in range(5):
        deaths += killed("up", chance.randrange(1, 26), after=chance.random() < 0.5)
        assert len(ids(api)) <= 1
    until(coursehub, api, "up", says=UP)
    assert len(ids(api)) == 1
    for _ in range(3):
        deaths += killed("down", chance.randrange(1, 16), after=chance.random() < 0.5)
    until(coursehub, api, "down")
    assert left(api) == []
    assert deaths >= 4
