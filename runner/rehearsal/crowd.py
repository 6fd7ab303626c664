"""Runs all students of a rehearsal at once, and measures what the server uses."""

from __future__ import annotations

import asyncio
import json
import resource
import ssl
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from runner.errors import CoursehubError
from runner.rehearsal import figures
from runner.rehearsal.accounts import PREFIX, Person
from runner.rehearsal.student import READY, Place, Record, Student

#: Seconds between two lines of progress.
_TICK = 2.0
#: Seconds after which a server without a kernel has made one ready (formula course_env, kernels.ready), and some more.
_READY = 45.0
_PROBE = Path(__file__).with_name("probe.py")

Run = Callable[[str], str]


def trust(ca_bundle: Path | None) -> ssl.SSLContext:
    """The TLS settings: trust the authorities in this file, or the system's."""
    return ssl.create_default_context(cafile=str(ca_bundle) if ca_bundle else None)


def used(run: Run, prefix: str = PREFIX) -> dict[str, Any]:
    """What the server's parts have used so far (see ``probe.py``). ``run`` runs a shell script there as root.

    The students' accounts begin with ``prefix``.
    """
    found: dict[str, Any] = json.loads(
        run(f"python3 -I - '{prefix}' << 'PROBE'\n{_PROBE.read_text(encoding='utf-8')}\nPROBE\n")
    )
    return found


def perform(
    place: Place,
    crowd: Sequence[Person],
    over: float,
    run: Run,
    progress: Callable[[str], None],
    *,
    prefix: str = PREFIX,
    kind: Callable[[Place, Person], Student] = Student,
) -> dict[str, Any]:
    """Start the students spread over ``over`` seconds, measure while all tabs are open, and return the figures.

    ``run`` and ``prefix`` as for ``used``; ``kind`` makes each student.
    """
    before, spent, began = used(run, prefix), _own_cpu(), time.monotonic()
    students = [kind(place, person) for person in crowd]

    async def everybody() -> tuple[list[Record], float, dict[str, Any]]:
        done = asyncio.Event()
        days = [
            asyncio.create_task(_later(over * number / len(students), student, done))
            for number, student in enumerate(students)
        ]
        while not all(_settled(student, day) for student, day in zip(students, days, strict=True)):
            await asyncio.sleep(min(_TICK, 0.25))
            progress(_line([student.record for student in students]))
        seconds = time.monotonic() - began
        after = await asyncio.to_thread(used, run, prefix)
        done.set()
        return list(await asyncio.gather(*days)), seconds, after

    records, seconds, after = asyncio.run(everybody())
    return {
        **figures.document(records),
        "over": over,
        "seconds": round(seconds, 1),
        "client_cpu": round(_own_cpu() - spent, 1),
        "usage": _usage(before, after),
    }


def start_early(place: Place, crowd: Sequence[Person], progress: Callable[[str], None]) -> None:
    """Start servers one after another, as the hub does before a class, as many as there is memory for.

    Raises CoursehubError if not even one starts.
    """

    async def one_after_another() -> None:
        for number, person in enumerate(crowd, 1):
            record = await Student(place, person).come_early()
            if record.failed_at and number == 1:
                raise CoursehubError(f"no server started: {record.why}; 'coursehub check' says what is wrong")
            if record.failed_at:
                break
            progress(f"{number} of {len(crowd)} run")
        await asyncio.sleep(_READY)

    asyncio.run(one_after_another())


async def _later(seconds: float, student: Student, done: asyncio.Event) -> Record:
    await asyncio.sleep(seconds)
    return await student.day(done)


def _settled(student: Student, day: asyncio.Task[Record]) -> bool:
    """Whether a student has failed, or has done all steps and only keeps the tab open."""
    return day.done() or "save" in student.record.seconds


def _line(records: Sequence[Record]) -> str:
    ready = sum(READY[-1] in one.seconds for one in records)
    failed = sum(bool(one.failed_at) for one in records)
    return f"{ready} of {len(records)} have a kernel" + (f", {failed} failed" if failed else "")


def _own_cpu() -> float:
    mine = resource.getrusage(resource.RUSAGE_SELF)
    return mine.ru_utime + mine.ru_stime


def _usage(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """CPU seconds of each part between the two measurements, and memory at the end."""
    parts = {
        name: {"cpu": round(part["cpu"] - before["parts"][name]["cpu"], 2), "pss": part["pss"]}
        for name, part in after["parts"].items()
    }
    people = {
        kind: {
            key: figures.summary(one[kind][key] for one in after["people"] if one[kind]["processes"])
            for key in ("cpu", "pss")
        }
        for kind in ("server", "kernel")
    }
    cpu = sum(one[kind]["cpu"] for one in after["people"] for kind in ("server", "kernel"))
    return {
        "parts": parts,
        "people": people,
        "people_cpu": round(cpu, 1),
        "pss": round(sum(one[kind]["pss"] for one in after["people"] for kind in ("server", "kernel")), 1),
        "class": after["class"],
        "cores": after["cores"],
        "load": after["load"],
    }
