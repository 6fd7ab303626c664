"""Measures what happens to students' work when something fails; prints one JSON document.

    .venv/bin/python -m benchmarks.data [power-off] [server-lost] [hourly-backup] [--moments N] [--rounds N]
                                        [--mount OPTIONS] [--students N] [--image SLUG]

- ``power-off``: seconds of work that a power failure costs if the server starts again (power_off.py);
- ``server-lost``: minutes from a dead server to the first student's kernel on a new one (server_lost.py);
- ``hourly-backup``: what a class at work notices of a backup, and what the backup costs (hourly_backup.py).

Without a name all three are measured, one after the other. Each makes its own machine in a separate local cloud, which
is removed at the end. Compare only figures from an idle computer. The homes' content is described in term.py.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import hourly_backup, power_off, server_lost
from benchmarks.speed import say
from benchmarks.work import give
from runner.course import load
from tests.support.hub import Hub
from tests.support.sandbox import Sandbox

PARTS = ("power-off", "server-lost", "hourly-backup")
COURSE = "work"


def measure(part: str, sandbox: Sandbox, options: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """The figures of one part, on a machine of its own."""
    sandbox.copy_course("demo", COURSE, **{sandbox.domain("demo"): f"{COURSE}-{sandbox.domain('demo')}"})
    say(f"{part}: a new {options.image}")
    hub = Hub(COURSE, sandbox.json("up", COURSE), sandbox)
    accounts = [person.account for person in load(sandbox.project, COURSE).people.students][: options.students]
    if part == "power-off":
        return power_off.measure(hub, options.moments, options.mount, scratch)
    if part == "server-lost":
        return server_lost.measure(hub, accounts)
    give(hub, "fill", str(server_lost.MEGABYTES), accounts)
    return hourly_backup.measure(hub, accounts, options.rounds)


def main() -> int:
    """Measure, print, and return 1 if a goal is missed or anybody's work failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; default: all")
    parser.add_argument("--moments", type=int, default=10, help="power failures (default 10)")
    parser.add_argument("--rounds", type=int, default=4, help="hourly backups (default 4)")
    parser.add_argument("--mount", default="", help="mount options to try for the class's disk, such as commit=5")
    parser.add_argument("--students", type=int, default=24, help="homes, and students at work (default and most 24)")
    parser.add_argument("--image", default="debian-13-x64", help="the machines' image")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; choose from {', '.join(PARTS)}")
    found: dict[str, Any] = {"at": time.strftime("%F %H:%M %Z"), "cores": os.cpu_count(), "image": options.image}
    for part in options.parts or PARTS:
        # Below /var/tmp: the copies of disks are gigabytes, and /tmp may be in memory.
        with tempfile.TemporaryDirectory(prefix="coursehub-data-", dir="/var/tmp") as directory:
            sandbox = Sandbox.make(Path(directory))
            sandbox.edit("demo", "debian-13-x64", options.image)
            try:
                found[part] = measure(part, sandbox, options, Path(directory))
            finally:
                sandbox.run("local", "stop")
    print(json.dumps(found, indent=2))
    missed = found.get("server-lost", {}).get("minutes", 0) > server_lost.GOAL
    return int(missed or bool(found.get("hourly-backup", {}).get("failures")))


if __name__ == "__main__":
    sys.exit(main())
