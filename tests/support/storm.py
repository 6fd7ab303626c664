"""Verbs over a bad network to a cloud with the real one's habits, run as often as a person would run them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runner.cli.main import main
from runner.cloud import calls, digitalocean
from tests.support.bad_line import BadLine
from tests.support.local_api import TOKEN, Api

#: Three seeds; a run of all suites has the first.
SEEDS = [1, *(pytest.param(seed, marks=pytest.mark.long) for seed in (2, 3))]
#: The number of times that a person would run one verb.
PATIENCE = 12
#: Habits of the real API.
HABITS = {"listed_after": 0.4, "tags_after": 0.6, "address_after": 0.3, "pending_for": 0.3, "deleted_listed_for": 60}
#: The request is carried out, but its answer is lost.
LOST = {"after": True, "status": 504, "body": "<html>"}
UP = "SSH on"
"""How far ``up`` gets where nothing listens at the droplets' addresses: everything at the cloud is made."""


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses in hundredths of their length."""
    monkeypatch.setattr(digitalocean, "PAUSE", 0.05)
    monkeypatch.setattr(digitalocean, "LATE_SECONDS", 1.5)
    monkeypatch.setattr(calls, "PENDING_PAUSE", 0.05)
    monkeypatch.setattr(calls.random, "uniform", lambda _least, _most: 0.01)


@pytest.fixture(params=SEEDS)
def line(request: pytest.FixtureRequest, api: Api, quick: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[BadLine]:
    """The bad network, once for each seed, in front of a cloud with habits."""
    del quick
    habits(api, **HABITS)
    with BadLine(api.url, request.param).open() as opened:
        monkeypatch.setenv("DIGITALOCEAN_END_POINT", f"{opened.url}/v2/")
        yield opened


def habits(api: Api, **seconds: float) -> None:
    """Give the cloud these habits, see ``runner.local.manners``."""
    (api.state / "manners.json").write_text(json.dumps(seconds))


def faults(api: Api, *entries: dict[str, Any]) -> None:
    """Give the cloud these faults, see ``runner.local.faults``."""
    (api.state / "faults.json").write_text(json.dumps(entries))


def ids(api: Api) -> list[int]:
    """All existing droplets, whatever a list says."""
    with api.cloud.reading() as store:
        return [droplet.id for droplet in store.account.droplets]


def left(api: Api) -> list[str]:
    """What is left in the account."""
    with api.cloud.reading() as store:
        account = store.account
        records = [record for domain in account.domains for record in domain.records if record.type != "NS"]
        ours = (*account.droplets, *account.keys, *account.tags, *account.firewalls, *account.projects, *records)
        return [str(one) for one in ours]


@contextlib.contextmanager
def twin(api: Api) -> Iterator[None]:
    """For the duration of the block the cloud has a second droplet like ours."""
    with api.cloud.changing() as store:
        (ours,) = store.account.droplets
        store.account.droplets.append(ours.model_copy(update={"id": store.new_id(), "slot": 99}))
    yield
    with api.cloud.changing() as store:
        store.account.droplets.pop()


def until(coursehub: Any, api: Api, *verb: str, says: str = "") -> str:
    """Run a verb until its last line contains ``says``, or without one until it succeeds; return that line."""
    lines = []
    for _ in range(PATIENCE):
        ended = coursehub(*verb, "phys", *(["--yes"] if verb[0] in ("up", "down") else []))
        lines.append(ended.line)
        assert TOKEN not in ended.err + ended.out
        assert "error of coursehub's own" not in ended.err
        assert len(ids(api)) <= 1, lines
        if (says and says in ended.line) or (not says and ended.code == 0):
            return str(ended.line)
        assert "its keys are not here" not in ended.err
    raise AssertionError(lines)


def killed(verb: str, number: int, *, after: bool) -> bool:
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
        _main(verb)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def side_by_side(*runs: tuple[str, Path, Path]) -> list[str]:
    """Run verbs at the same time: each is a verb, its working copy, and a file for what it says; return their lines."""
    children = []
    for verb, root, said in runs:
        child = os.fork()
        if child == 0:
            os.environ["COURSEHUB_ROOT"] = str(root)
            with said.open("w") as told:
                os.dup2(told.fileno(), 2)
                sys.stderr = told
                _main(verb)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    return [said.read_text().strip().splitlines()[-1] for _, _, said in runs]


def _main(verb: str) -> None:
    """Run the verb and end this process."""
    sys.argv = ["coursehub", verb, "phys", "--yes"]
    try:
        main()
    finally:
        sys.stderr.flush()
        os._exit(0)
