"""The minutes from a dead server to the first kernel on a new one, with 24 homes of 50 MB each.

The server is deleted at the provider, without a last backup. Then a teacher types ``up`` and ``restore --all``, and a
student signs in and computes the SHA-256 of a file of the old server. The result has the seconds of each step.

The local cloud makes a machine faster than a provider makes a droplet, and the backup is on this computer, so the
network costs nothing. The teacher's own time is not in it.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from typing import Any

from benchmarks.hourly_backup import prepare
from benchmarks.speed import say
from runner.agreed import PATHS
from runner.people.passwords import Passwords
from runner.rehearsal import crowd, reader
from runner.rehearsal.accounts import Person
from runner.rehearsal.student import Place
from runner.session import connect
from tests.support.hub import Hub
from tests.support.machine import Machine

#: Minutes from the dead server to the first kernel's answer.
GOAL = 20
FILE = "labs/lab00.ipynb"


def measure(hub: Hub, accounts: Sequence[str]) -> tuple[Hub, dict[str, Any]]:
    """Make the backup that the timer would have made, delete the server, and come back; the new server and the figures.

    The homes are filled already.
    """
    prepare(hub)
    student, homes = accounts[0], PATHS["homes"]
    print_of = f"cd {homes}; sha256sum */{FILE}; find */labs */data */scripts */handouts -type f | wc -l"
    before = hub.run(print_of)
    hash_before = next(line.split()[0] for line in before.splitlines() if line.endswith(f" {student}/{FILE}"))
    megabytes = int(hub.run(f"du -scm {shlex.join(f'{homes}/{name}' for name in accounts)} | tail -n 1 | cut -f 1"))
    hub.sandbox.json("backup", hub.course, seconds=1800)
    say(f"{len(accounts)} homes, {megabytes} MB; the server dies")
    delete(hub)

    marks = [("", time.monotonic())]

    def done(step: str) -> None:
        marks.append((step, time.monotonic()))
        say(f"{step}: {marks[-1][1] - marks[-2][1]:.0f} s")

    up = hub.sandbox.json("up", hub.course)
    done("up")
    restored = hub.sandbox.json("restore", hub.course, "--all", seconds=1800)
    done("restore")
    session = connect(hub.sandbox.project, hub.course, lambda _: None)
    place = Place(session.course.domain, up["server"]["ip"], crowd.trust(session.ca_bundle), session.course.subdomains)
    password = Passwords(hub.sandbox.project, hub.course).read()[student].clear
    answer = reader.read(place, Person(student, password), FILE)
    done("a student's kernel")
    if answer != hash_before:
        raise SystemExit("the file of the old server is not the same on the new one")
    # Not in the time: nobody waits for it.
    new = Hub(hub.course, up, hub.sandbox)
    if new.run(print_of) != before:
        raise SystemExit("the homes are not the same as before")
    seconds = marks[-1][1] - marks[0][1]
    return new, {
        "homes": len(accounts),
        "megabytes": megabytes,
        "steps": {step: round(at - marks[number][1], 1) for number, (step, at) in enumerate(marks[1:])},
        "minutes": round(seconds / 60, 1),
        "goal": GOAL,
        "parts restored": sum(part["result"] == "restored" for part in restored["parts"]),
    }


def delete(hub: Hub) -> None:
    """Delete the server at the provider, as somebody in the control panel would."""
    if not Machine.of(hub.sandbox, hub.course).droplet().destroy():
        raise SystemExit("the server could not be deleted")
