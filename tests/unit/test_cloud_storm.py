"""``up`` and ``down`` over a bad network and with kills, with three seeds: never two droplets, and nothing left."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from runner.cli.main import main
from runner.cloud import calls, digitalocean
from tests.support.bad_line import BadLine
from tests.support.local_api import TOKEN, Api

pytestmark = [pytest.mark.unit, pytest.mark.timeout(300)]

SEEDS = (1, 2, 3)
#: The number of times that a person would run one verb.
PATIENCE = 12
#: Habits of the real API in addition.
HABITS = {"listed_after": 0.4, "tags_after": 0.6, "address_after": 0.3, "pending_for": 0.3, "deleted_listed_for": 60}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digitalocean, "PAUSE", 0.05)
    monkeypatch.setattr(digitalocean, "LATE_SECONDS", 1.5)
    monkeypatch.setattr(calls, "PENDING_PAUSE", 0.05)
    monkeypatch.setattr(calls.random, "uniform", lambda _least, _most: 0.01)


@pytest.fixture
def habits(api: Api) -> Api:
    (api.state / "manners.json").write_text(json.dumps(HABITS))
    return api


@pytest.fixture(params=SEEDS)
def line(request: pytest.FixtureRequest, habits: Api, monkeypatch: pytest.MonkeyPatch) -> Iterator[BadLine]:
    with BadLine(habits.url, request.param).open() as opened:
        monkeypatch.setenv("DIGITALOCEAN_END_POINT", f"{opened.url}/v2/")
        yield opened


def ids(api: Api) -> list[int]:
    with api.cloud.reading() as store:
        return [droplet.id for droplet in store.account.droplets]


def left(api: Api) -> list[str]:
    """What is left in the account."""
    with api.cloud.reading() as store:
        account = store.account
        records = [record for domain in account.domains for record in domain.records if record.type != "NS"]
        ours = (*account.droplets, *account.keys, *account.tags, *account.firewalls, *account.projects, *records)
        return [str(one) for one in ours]


def until(coursehub: Any, api: Api, *verb: str, says: str) -> list[str]:
    """Run a verb until it says ``says``, as a person would; return the last lines of all runs."""
    lines = []
    for _ in range(PATIENCE):
        ended = coursehub(*verb, "phys", "--yes")
        lines.append(ended.line)
        assert TOKEN not in ended.err + ended.out
        assert "error of coursehub's own" not in ended.err
        assert "its keys are not here" not in ended.err
        assert len(ids(api)) <= 1, lines
        if (says and says in ended.line) or (not says and ended.code == 0):
            return lines
    raise AssertionError(lines)


def test_storm_makes_one_and_leaves_none(coursehub: Any, api: Api, line: BadLine) -> None:
    """A quarter of all calls fail, in eleven ways, and the API lists late."""
    until(coursehub, api, "up", says="SSH on")
    made = ids(api)
    until(coursehub, api, "up", says="SSH on")
    assert ids(api) == made
    until(coursehub, api, "down", says="")
    assert left(api) == []
    assert len(line.happened) >= 5, line.happened


@pytest.mark.parametrize("seed", SEEDS)
def test_kills_make_one_and_leave_none(coursehub: Any, habits: Api, seed: int) -> None:
    """kill -9 before or after a call that the seed chooses, five times in ``up`` and three times in ``down``."""
    chance = random.Random(seed)
    deaths = 0
    for _ in range(5):
        deaths += _killed("up", chance.randrange(1, 26), after=chance.random() < 0.5)
        assert len(ids(habits)) <= 1
    until(coursehub, habits, "up", says="SSH on")
    assert len(ids(habits)) == 1
    for _ in range(3):
        deaths += _killed("down", chance.randrange(1, 16), after=chance.random() < 0.5)
    until(coursehub, habits, "down", says="")
    assert left(habits) == []
    assert deaths >= 4


def _killed(verb: str, number: int, *, after: bool) -> bool:
    """Run a verb in its own process, killed at its cloud call number ``number``; return whether it was."""
    child = os.fork()
    if child == 0:
        request, count = calls.requests.Session.request, 0

        def counted(*given: Any, **options: Any) -> Any:
            nonlocal count
            count += 1
            if count == number and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            answer = request(*given, **options)
            if count == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return answer

        calls.requests.Session.request = counted  # type: ignore[method-assign]
        sys.argv = ["coursehub", verb, "phys", "--yes"]
        try:
            main()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)
