"""Servers that nobody uses are stopped, with a warning before; running work is spared; each role has its own time.

Run by `./coursehub test load -k idle`. It takes eight minutes: five without use is the least that a course can have.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
import yaml

from runner.hub.client import HubFailure
from runner.people.passwords import Passwords
from tests.machine.test_hub import until
from tests.support.attackers import Person, Terminal
from tests.support.hub import Hub

pytestmark = [pytest.mark.machine, pytest.mark.timeout(1200)]

#: Minutes without use, and seconds of looking: until the culler must have come, and some more.
IDLE, LOOK = 5, 8 * 60
PROFESSOR = "rivera"
#: What each student of the trial does, after a first look at Lab.
AWAY, PRESSES, TERMINAL, BACKGROUND, KERNEL = "abello", "bcarter", "cdubois", "dflores", "esato"


@pytest.fixture
def five_minutes(own_hub: None, hub: Hub) -> Iterator[None]:
    """The course stops students' servers after five minutes, and professors' much later."""
    del own_hub
    path = hub.sandbox.project.course_file(hub.course)
    before = path.read_text(encoding="utf-8")
    document = yaml.safe_load(before)
    document["course"]["idle_after"] = {"students": IDLE, "professors": 480}
    path.write_text("#!yaml\n" + yaml.safe_dump(document, allow_unicode=True, sort_keys=False), encoding="utf-8")
    try:
        assert hub.sandbox.json("apply", hub.course)["courses"][hub.course]["failed"] == 0
        yield
    finally:
        path.write_text(before, encoding="utf-8")
        hub.sandbox.json("apply", hub.course)


def minutes_left(person: Person) -> int | None:
    """What the open page of Lab asks once a minute."""
    answer = person.client.get(f"/user/{person.account}/class/idle", allow_redirects=False)
    found: int | None = json.loads(answer.text)["minutes"] if answer.status_code == 200 else None
    return found


def running(hub: Hub) -> set[str]:
    units = hub.run("systemctl list-units --plain --no-legend --state=active 'jupyter-*.service'").splitlines()
    return {line.split()[0].removeprefix("jupyter-").removesuffix(".service") for line in units}


@pytest.mark.usefixtures("five_minutes")
def test_unused_servers_stop_and_work_goes_on(hub: Hub) -> None:
    known = Passwords(hub.sandbox.project, hub.course).read()
    people = {
        account: Person(hub, account, known[account].clear)
        for account in (AWAY, PRESSES, TERMINAL, BACKGROUND, KERNEL, PROFESSOR)
    }
    # A server from before this test may be another version's.
    hub.run("systemctl stop 'jupyter-*.service'")
    for account, person in people.items():
        until(f"the server of {account}", lambda person=person: bool(person.serve()), 180)
    # In the foreground of a terminal, and without one; neither prints anything. ``shell`` would close the terminal.
    with suppress(TimeoutError):
        Terminal(people[TERMINAL].client).run("timeout 900 sh -c 'while :; do :; done'", seconds=2)
    with suppress(TimeoutError):
        people[BACKGROUND].shell("setsid nohup timeout 900 sh -c 'while :; do :; done' > /dev/null 2>&1 & true")
    with suppress(HubFailure, TimeoutError):
        people[KERNEL].python("import time; time.sleep(900)", seconds=2)
    seen: dict[str, list[int]] = {account: [] for account in people}
    stopped: dict[str, float] = {}
    began = time.monotonic()
    while time.monotonic() - began < LOOK:
        there = running(hub)
        for account, person in people.items():
            if account not in there:
                stopped.setdefault(account, time.monotonic() - began)
                continue
            # An overloaded computer may not answer in time.
            with suppress(HubFailure):
                left = minutes_left(person)
                if left is not None:
                    seen[account].append(left)
                if left is not None and account == PRESSES:
                    person.client.api("POST", "/class/idle")
        time.sleep(10)
    print(f"\nstopped after seconds: {stopped}; minutes that Lab showed: {seen}")
    assert set(stopped) == {AWAY}, "only the server that nobody used is stopped"
    assert stopped[AWAY] >= IDLE * 60 - 5
    assert seen[AWAY], "it was announced"
    assert max(seen[AWAY]) <= 2
    assert seen[PRESSES], "the button was needed"
    assert not any(seen[account] for account in (TERMINAL, BACKGROUND, KERNEL, PROFESSOR))
    page = people[AWAY].client.get(f"/hub/user/{AWAY}/lab").text
    assert f"nobody had used it for {IDLE} minutes" in page
    for person in people.values():
        person.stop()
