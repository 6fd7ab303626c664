"""Measures what happens to students' work when something fails; prints one JSON document.

    .venv/bin/python -m benchmarks.data [power-off] [server-lost] [hourly-backup] [--moments N] [--rounds N]
                                        [--mount OPTIONS] [--students N] [--image SLUG]

- ``power-off``: seconds of work that a power failure costs if the server starts again (power_off.py);
- ``server-lost``: minutes from a dead server to the first student's kernel on a new one (server_lost.py);
- ``hourly-backup``: what a class at work notices of a backup, and how long it takes (hourly_backup.py).

Without a name all three are measured, in this order, with one course of a separate local cloud, which is removed at the
end. For the last two each student gets a home of 50 MB; term.py describes its content. Compare only figures from an
idle computer.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import hourly_backup, power_off, server_lost
from benchmarks.speed import say
from benchmarks.work import fill
from runner.course import load
from tests.support.hub import Hub
from tests.support.sandbox import Sandbox

PARTS = ("power-off", "server-lost", "hourly-backup")
COURSE = "work"


def new_hub(sandbox: Sandbox) -> Hub:
    """The demo course under another name."""
    sandbox.copy_course("demo", COURSE, **{sandbox.domain("demo"): f"{COURSE}-{sandbox.domain('demo')}"})
    return Hub(COURSE, sandbox.json("up", COURSE), sandbox)


def measure(hub: Hub, options: argparse.Namespace) -> Iterator[tuple[str, dict[str, Any]]]:
    """The name and the figures of each part."""
    parts = options.parts or PARTS
    accounts = [person.account for person in load(hub.sandbox.project, COURSE).people.students][: options.students]
    if "power-off" in parts:
        yield "power-off", power_off.measure(hub, options.moments, options.mount)
    if {"server-lost", "hourly-backup"} & set(parts):
        if "power-off" in parts:
            hub.sandbox.json("up", COURSE)
        say("fill the homes")
        fill(hub, accounts)
    if "server-lost" in parts:
        hub, found = server_lost.measure(hub, accounts)
        yield "server-lost", found
    if "hourly-backup" in parts:
        yield "hourly-backup", hourly_backup.measure(hub, accounts, options.rounds)


def main() -> int:
    """Measure, print, and return 1 if a goal is missed or anybody's work failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; default: all")
    parser.add_argument("--rounds", type=int, default=6, help="hourly backups (default 6)")
    parser.add_argument("--moments", type=int, default=10, help="power failures (default 10)")
    parser.add_argument("--mount", default="", help="mount options to try for the class's disk, such as commit=5")
    parser.add_argument("--students", type=int, default=24, help="homes, and students at work (default and most 24)")
    parser.add_argument("--image", default="debian-13-x64", help="the machines' image")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; choose from {', '.join(PARTS)}")
    found: dict[str, Any] = {"at": time.strftime("%F %H:%M %Z"), "cores": os.cpu_count(), "image": options.image}
    with tempfile.TemporaryDirectory(prefix="coursehub-data-") as directory:
        sandbox = Sandbox.make(Path(directory))
        sandbox.edit("demo", "debian-13-x64", options.image)
        try:
            say(f"a new {options.image}")
            for part, figures in measure(new_hub(sandbox), options):
                found[part] = figures
        finally:
            sandbox.run("local", "stop")
    print(json.dumps(found, indent=2))
    missed = found.get("server-lost", {}).get("minutes", 0) > server_lost.GOAL
    return int(missed or bool(found.get("hourly-backup", {}).get("failures")))


if __name__ == "__main__":
    sys.exit(main())
