"""Measures a class that signs in at once, on JupyterHub as its documentation sets it up and on ours; prints JSON.

    .venv/bin/python -m benchmarks.class_start [--students N] [--pairs N] [--image SLUG] [--plot FILE]
    .venv/bin/python -m benchmarks.class_start --drawn-from JSON --plot FILE --note TEXT

Both are on new machines of a separate local cloud, one after the other, with the same packages: one is set up by
baseline.sh (SystemdSpawner, nothing shared, no limits), the other by ``apply``. The students of ``coursehub rehearse``
sign in on both. Ours is measured twice: as it is, and with the servers already running, as before a class in the
timetable. Compare only figures from an idle computer. ``--plot`` writes them as an SVG, also those of an earlier run.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.chart import Figure, draw
from benchmarks.speed import BASELINE_PASSWORD, fresh, prepare_baseline, run_baseline, say
from runner.console import Steps
from runner.rehearsal import crowd
from runner.rehearsal.accounts import Person
from runner.rehearsal.student import Place
from tests.support.sandbox import Sandbox

#: So many accounts are made by baseline.sh: student01, student02 and so on.
MOST = 24
PREFIX = "student"
#: What is compared beside the first answer of a kernel: the medians of all steps until a plot.
UNTIL_PLOT = ("sign in", "server", "lab", "kernel", "imports", "plot")


def stock(sandbox: Sandbox, course_id: str, students: int) -> list[dict[str, Any]]:
    """The figures of JupyterHub's stock way."""
    session, ip = fresh(sandbox, course_id)
    prepare_baseline(session, ip)
    certificate = Path(sandbox.root, f"{course_id}.pem")
    run_baseline(session, ip, certificate)
    place = Place(session.course.domain, ip, crowd.trust(certificate), subdomains=False)
    people = [Person(f"{PREFIX}{number:02}", BASELINE_PASSWORD) for number in range(1, students + 1)]
    done = crowd.perform(place, people, 0, lambda script: session.access.run(ip, script), Steps().hear(), prefix=PREFIX)
    return [done]


def ours(sandbox: Sandbox, course_id: str, students: int) -> list[dict[str, Any]]:
    """Our figures: everybody comes at once, and the same with servers that run already."""
    fresh(sandbox, course_id)
    sandbox.json("apply", course_id)
    return [
        sandbox.json("rehearse", course_id, "--students", str(students), *started, seconds=1700)
        for started in ((), ("--started",))
    ]


def shown(done: dict[str, Any]) -> dict[str, Any]:
    """What is compared, in seconds and megabytes."""
    steps, people = done["steps"], done["usage"]["people"]
    return {
        "served": done["served"],
        "first answer": steps["first answer"],
        "half until the plot": round(sum(steps[one].get("p50", 0) for one in UNTIL_PLOT), 1),
        "a student's MB": round(sum(people[kind]["pss"].get("p50", 0) for kind in ("server", "kernel")), 1),
        "CPU seconds": round(
            sum(part["cpu"] for part in done["usage"]["parts"].values()) + done["usage"]["people_cpu"], 1
        ),
        "failures": done["failures"],
    }


#: How the plot names the three ways.
NAMES = {"stock": "JupyterHub, stock", "ours": "coursehub", "ours, started": "coursehub, timetable"}


def plot(runs: dict[str, list[dict[str, Any]]], note: str) -> str:
    """An SVG of the medians of all runs."""

    def figure(title: str, value: Callable[[dict[str, Any]], float]) -> Figure:
        return Figure(title, {NAMES[name]: statistics.median(map(value, runs[name])) for name in NAMES})

    figures = [
        figure("First answer of a kernel, the slowest (seconds)", lambda one: one["first answer"]["max"]),
        figure("First answer of a kernel, half of the class (seconds)", lambda one: one["first answer"]["p50"]),
        figure("Server and kernel of one student (MB)", lambda one: one["a student's MB"]),
        figure("Processor time for the class (seconds)", lambda one: one["CPU seconds"]),
    ]
    return draw("A class signs in at the same moment", note, figures)


def main() -> int:
    """Measure, print, draw, and return 1 if anybody failed on ours."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--students", type=int, default=MOST, choices=range(1, MOST + 1), metavar="N", help="1 to 24")
    parser.add_argument("--pairs", type=int, default=1, help="how often (default 1)")
    parser.add_argument("--image", default="debian-13-x64", help="the machines' image")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="write an SVG")
    parser.add_argument(
        "--drawn-from", type=Path, metavar="JSON", help="measure nothing: plot what an earlier run printed"
    )
    parser.add_argument(
        "--note", help="the second line of the plot; the default says how many students, where and when"
    )
    options = parser.parse_args()
    note = (
        options.note or f"{options.students} students, {os.cpu_count()} cores, {options.image}, {time.strftime('%F')}"
    )
    if options.drawn_from:
        earlier = json.loads(options.drawn_from.read_text(encoding="utf-8"))
        options.plot.write_text(plot(earlier["runs"], note), encoding="utf-8")
        return 0
    runs: dict[str, list[dict[str, Any]]] = {"stock": [], "ours": [], "ours, started": []}
    with tempfile.TemporaryDirectory(prefix="coursehub-class-") as directory:
        sandbox = Sandbox.make(Path(directory))
        sandbox.edit("demo", "debian-13-x64", options.image)
        try:
            for pair in range(options.pairs):
                ways = [(stock, "stock"), (ours, "ours")]
                for way, name in ways if pair % 2 == 0 else reversed(ways):
                    say(f"{name} on a fresh {options.image}")
                    found = [shown(one) for one in way(sandbox, f"{name}{pair}", options.students)]
                    for label, figures in zip((name, f"{name}, started"), found, strict=False):
                        runs[label].append(figures)
                    sandbox.json("down", f"{name}{pair}", "--yes")
        finally:
            sandbox.run("local", "stop")
    slowest = {
        name: statistics.median(one["first answer"].get("max", float("inf")) for one in runs[name]) for name in runs
    }
    ratios = {name: round(slowest["stock"] / seconds, 2) for name, seconds in slowest.items()}
    print(json.dumps({"slowest first answer": slowest, "times faster": ratios, "runs": runs}, indent=2))
    if options.plot:
        options.plot.write_text(plot(runs, note), encoding="utf-8")
    return int(any(one["served"] < options.students for name in ("ours", "ours, started") for one in runs[name]))


if __name__ == "__main__":
    sys.exit(main())
