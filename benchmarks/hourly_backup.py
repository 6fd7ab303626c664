"""What a class at work notices of a backup: the seconds until a kernel answers, with a backup and without.

Every student has a tab open and runs a cell every few seconds: a loop, a sort of 100,000 numbers and a small table.
Each also saves now and then. Times without a backup and backups take turns, so both meet the same computer. Before each
backup every home gets an hour's new work. The first backup is measured too: it reads every file, because this server
has made none before. If the target has nothing yet, it also sends everything.

The local cloud keeps the backup on this computer, outside of the machine: its work is not limited by the machine's
background.slice, and takes processor time from the class. A droplet's target is another computer.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from benchmarks.speed import say
from benchmarks.term import notebook
from benchmarks.work import give
from runner.people.passwords import Passwords
from runner.rehearsal import crowd
from runner.rehearsal.accounts import Person
from runner.rehearsal.figures import percentile, summary
from runner.rehearsal.student import Kernel, Place, Student, Trouble
from runner.session import connect
from tests.support.hub import Hub

#: Seconds between two cells of a student, and between two saves; between the students' arrivals; without a backup.
PACE, SAVE_PACE, ARRIVALS, WITHOUT = 5.0, 60.0, 0.7, 30.0
#: Seconds that all may need until their kernels answer.
PATIENCE = 240
IMPORTS = "import random, numpy, pandas\nprint(6 * 7)"
CELL = """
total = sum(number * number for number in range(100_000))
ordered = numpy.sort(numpy.random.rand(100_000))
frame = pandas.DataFrame({"group": numpy.arange(5000) % 7, "value": ordered[:5000]})
means = frame.groupby("group").value.mean()
print(6 * 7)
"""
UNIT = "coursehub-backup.service"


@dataclass(frozen=True)
class Sample:
    """When something began, on this computer's monotonic clock, and how many seconds it took."""

    began: float
    seconds: float


@dataclass(frozen=True)
class Window:
    """A time with a backup or without."""

    backup: bool
    began: float
    ended: float


@dataclass
class Notes:
    """What all students saw."""

    answers: list[Sample] = field(default_factory=list)
    saves: list[Sample] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


class Worker(Student):
    """A student who works until the end."""

    def __init__(self, place: Place, person: Person, notes: Notes) -> None:
        super().__init__(place, person)
        self.notes, self.ready = notes, False

    async def _steps(self, done: asyncio.Event) -> None:
        await self._arrive()
        chance = random.Random(self.person.account)
        async with self._step("lab"):
            # The page alone, which brings the cookie for changes. How long all of Lab takes is measured elsewhere.
            await self._get(f"{self.base}lab")
        async with contextlib.AsyncExitStack() as tab:
            async with self._step("kernel"):
                kernel = await tab.enter_async_context(await self._kernel())
            news = await tab.enter_async_context(await self._socket("api/events/subscribe"))
            async with self._step("imports"):
                await kernel.run(IMPORTS)
            self.ready = True
            tab_open = asyncio.create_task(self._stay(done, news))
            try:
                await self._work(kernel, done, chance)
            except (Trouble, aiohttp.ClientError, OSError, ValueError) as problem:
                self.record.failed_at, self.record.why = "work", str(problem) or type(problem).__name__
            await tab_open

    async def _work(self, kernel: Kernel, done: asyncio.Event, chance: random.Random) -> None:
        book = notebook(chance, 3)
        next_save = time.monotonic() + chance.uniform(0, SAVE_PACE)
        while not done.is_set():
            await asyncio.sleep(chance.uniform(0.5, 1.5) * PACE)
            began = time.monotonic()
            await kernel.run(CELL)
            self.notes.answers.append(Sample(began, time.monotonic() - began))
            if time.monotonic() > next_save:
                next_save += SAVE_PACE
                began = time.monotonic()
                await self._change("PUT", "api/contents/now.ipynb", {"type": "notebook", "content": book})
                self.notes.saves.append(Sample(began, time.monotonic() - began))

    async def day(self, done: asyncio.Event) -> Any:
        """Work, and note a failure."""
        with contextlib.suppress(aiohttp.ClientError, OSError):
            record = await super().day(done)
            if record.failed_at:
                self.notes.failures.append(f"{record.failed_at}: {record.why}")
            return record
        self.notes.failures.append("the connection broke")
        return self.record


def measure(hub: Hub, accounts: Sequence[str], rounds: int) -> dict[str, Any]:
    """The first backup, then so many times without one and hourly ones in turn; figures of all."""
    prepare(hub)
    session = connect(hub.sandbox.project, hub.course, lambda _: None)
    place = Place(
        session.course.domain, hub.document["server"]["ip"], crowd.trust(session.ca_bundle), session.course.subdomains
    )
    passwords = Passwords(hub.sandbox.project, hub.course).read()
    people = [Person(account, passwords[account].clear) for account in accounts]
    return asyncio.run(_class(hub, place, people, rounds))


def prepare(hub: Hub) -> None:
    """Install restic now, and let no timer begin a backup or look after versions by itself."""
    timers = "coursehub-backup.timer coursehub-disk-history.timer apt-daily.timer apt-daily-upgrade.timer"
    hub.run(
        f"systemctl stop {timers}; systemctl start coursehub-restic.service; "
        f"while systemctl is-active --quiet {UNIT}; do sleep 1; done",
        seconds=900,
    )


async def _class(hub: Hub, place: Place, people: Sequence[Person], rounds: int) -> dict[str, Any]:
    notes, done = Notes(), asyncio.Event()
    workers = [Worker(place, person, notes) for person in people]
    days = [asyncio.create_task(_later(ARRIVALS * number, one, done)) for number, one in enumerate(workers)]
    try:
        deadline = time.monotonic() + PATIENCE
        while not all(worker.ready for worker in workers):
            if notes.failures or time.monotonic() > deadline:
                raise SystemExit(f"the class is not at work: {notes.failures or 'no kernel in time'}")
            await asyncio.sleep(0.5)
        say(f"{len(workers)} students are at work")
        accounts = [person.account for person in people]
        first_quiet = await _without()
        first, first_facts = await _backup(hub)
        say(f"the first backup by this server took {first.ended - first.began:.0f} s")
        windows, facts = [], []
        for number in range(rounds):
            new = await asyncio.to_thread(give, hub, "hour", str(number), accounts)
            await asyncio.sleep(3)
            # Which comes first alternates, so that a drift of the computer's speed counts for both.
            if number % 2 == 0:
                windows.append(await _without())
            window, fact = await _backup(hub)
            windows.append(window)
            if number % 2:
                windows.append(await _without())
            facts.append({"new work, MB": round(new / 1e6, 1), **fact})
            say(f"an hourly backup took {window.ended - window.began:.0f} s")
    finally:
        done.set()
        await asyncio.gather(*days, return_exceptions=True)
    return {
        "students": len(people),
        "failures": notes.failures,
        "hourly": {
            "backups": facts,
            "cells": compare(notes.answers, windows),
            "saves": compare(notes.saves, windows),
            "each round": [compare(notes.answers, windows[at : at + 2])["p95 ratio"] for at in range(0, 2 * rounds, 2)],
        },
        "first": {"backup": first_facts, "cells": compare(notes.answers, [first_quiet, first])},
    }


async def _later(seconds: float, worker: Worker, done: asyncio.Event) -> None:
    await asyncio.sleep(seconds)
    await worker.day(done)


async def _without() -> Window:
    began = time.monotonic()
    await asyncio.sleep(WITHOUT)
    return Window(False, began, time.monotonic())


async def _backup(hub: Hub) -> tuple[Window, dict[str, Any]]:
    """Make a backup as the timer does; its time."""
    began = time.monotonic()
    said = await asyncio.to_thread(hub.run, f"systemctl start {UNIT} && systemctl show {UNIT} -p Result", 1800)
    window = Window(True, began, time.monotonic())
    if said.strip() != "Result=success":
        raise SystemExit(f"the backup failed: {said.strip()}")
    return window, {"seconds": round(window.ended - began, 1)}


def compare(samples: Sequence[Sample], windows: Sequence[Window]) -> dict[str, Any]:
    """Seconds of what began with a backup and without, and how many times the p95 is as long with one.

    The ratio is None if one of them has no samples.
    """
    found: dict[bool, list[float]] = {True: [], False: []}
    for sample in samples:
        for window in windows:
            if window.began <= sample.began < window.ended:
                found[window.backup].append(sample.seconds)
    ratio = percentile(found[True], 95) / percentile(found[False], 95) if found[True] and found[False] else None
    return {
        "with": summary(found[True]),
        "without": summary(found[False]),
        "p95 ratio": None if ratio is None else round(ratio, 2),
    }
