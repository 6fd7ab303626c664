"""One server uses all of its memory, or forks without end: only that unit suffers, and neighbours hardly notice."""

from __future__ import annotations

import contextlib
import statistics
import time
from shlex import quote

import pytest

from runner.hub.client import HubFailure, Kernel
from runner.people.passwords import Passwords
from tests.support.attackers import Person
from tests.support.deaths import COURSE, LATE, Dying

pytestmark = [pytest.mark.machine, pytest.mark.long, pytest.mark.timeout(1800)]

HOG = "dflores"
#: How often a neighbour's kernel is asked in each turn, and how many turns there are with the hog and without.
ASKED, TURNS = 80, 3
#: A neighbour's 95th percentile with the hog, over that without.
AT_MOST = 2.0
#: What the hog runs again and again until its server ends.
HOGS = {
    "memory": """python3 -c 'hold = [bytearray(1 << 26) for _ in range(1 << 10)]'; sleep 0.1""",
    "forks": """bash -c 'f() { f | f & }; f' 2> /dev/null; sleep 0.5""",
}
#: What shows that it did: seconds of its processors, in nanoseconds.
USED, LEAST = "CPUUsageNSec", 10**9
#: The processes of the parts that everybody needs.
PARTS = "systemctl show -p MainPID --value jupyterhub jupyterhub-proxy nginx"


def person(dying: Dying, account: str) -> Person:
    return Person(dying.hub, account, Passwords(dying.hub.sandbox.project, COURSE).read()[account].clear)


def answers(kernel: Kernel) -> list[float]:
    """Milliseconds of each answer, a little apart as a person works."""
    found = []
    for _ in range(ASKED):
        began = time.monotonic()
        assert kernel.run("print(sum(range(100_000)))") == "4999950000"
        found.append(1000 * (time.monotonic() - began))
        time.sleep(0.05)
    return found


def p95(times: list[float]) -> float:
    return statistics.quantiles(times, n=20)[-1]


def end(dying: Dying, hog: Person) -> None:
    dying.hub.run(f"systemctl kill -s KILL {hog.unit}; systemctl stop {hog.unit}; true")
    hog.forget()


@pytest.mark.parametrize("what", HOGS)
def test_only_the_hogs_own_unit_suffers(dying: Dying, what: str) -> None:
    neighbour, hog = person(dying, LATE), person(dying, HOG)
    client = neighbour.serve()
    kernel = Kernel(client, client.api("POST", "/api/kernels", json={"name": "python3"}, timeout=90).json()["id"])
    kernel.run("kept = 41")
    parts = dying.hub.run(PARTS)
    alone: list[float] = []
    beside: list[float] = []
    try:
        for _ in range(TURNS):
            alone += answers(kernel)
            hog.serve()
            with contextlib.suppress(HubFailure, TimeoutError):
                hog.shell(f"setsid nohup sh -c {quote(f'while :; do {HOGS[what]}; done')} > /dev/null 2>&1 & true")
            time.sleep(3)
            beside += answers(kernel)
            assert int(dying.hub.run(f"systemctl show -p {USED} --value {hog.unit}")) > LEAST, "the hog did nothing"
            end(dying, hog)
            time.sleep(1)
        ratio = p95(beside) / p95(alone)
        print(
            f"\n{what}: p95 of an answer {p95(alone):.0f} ms alone, {p95(beside):.0f} ms beside it: {ratio:.2f} times"
        )
        assert kernel.run("print(kept + 1)") == "42"
        assert dying.hub.run(PARTS) == parts, "something else was killed"
        assert ratio < AT_MOST
    finally:
        end(dying, hog)
        neighbour.stop()
