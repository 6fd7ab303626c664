"""Measures ``apply`` without a change: of one course, and of several at the same time.

``python -m benchmarks.fleet [--own-cpus PART] COURSE...`` on running hubs of the local cloud that match their course
files. Ten courses together may take three times as long as one.

The machines of the local cloud share this computer's processors with the runner and with each other; droplets do not.
With ``--own-cpus 0.15`` each machine may use 0.15 of a processor and the runner 0.3, whoever else works: a droplet with
one processor and a teacher's computer with two, all slowed down alike, so the ratio is that of the field. All parts
together must be less than this computer has. Hosts with systemd limit in another way and cannot do this.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from runner.local.cgroups import CPU_PERIOD_US, ROOT, Limits, Systemd, of_this_host
from runner.local.identity import Identity
from runner.project import Project
from runner.servers.access import Access

HERE = Path(__file__).resolve().parent.parent
GOAL = 3.0
ROUNDS = 3
#: Processors of the teacher's computer, in those of a droplet.
RUNNERS_CPUS = 2
RUNNERS_GROUP = "coursehub-fleet"


def seconds(courses: list[str], command: list[str]) -> float:
    """The median of several runs. Ends the program if an apply fails."""
    spent = []
    for _ in range(ROUNDS):
        began = time.monotonic()
        subprocess.run([*command, HERE / "coursehub", "apply", *courses], check=True, capture_output=True)
        spent.append(time.monotonic() - began)
    return statistics.median(spent)


@contextlib.contextmanager
def own_cpus(courses: list[str], part: float) -> Iterator[list[str]]:
    """Limit each course's machine for the duration of the block; yields the beginning of the runner's command."""
    groups = of_this_host()
    if isinstance(groups, Systemd):
        raise SystemExit("--own-cpus does not work on a host with systemd")
    with contextlib.ExitStack() as stack:
        for course_id in courses:
            stack.enter_context(_limited(_group(_process(course_id)), part))
        # A command that would put itself into the group; the group exists from now on.
        command = groups.command(RUNNERS_GROUP, Limits(2**40, RUNNERS_CPUS), [])
        stack.callback(groups.destroy, RUNNERS_GROUP)
        quota = _quota(next(path for path in (ROOT / "cpu" / RUNNERS_GROUP, ROOT / RUNNERS_GROUP) if path.is_dir()))
        quota.write_text(_text(quota, RUNNERS_CPUS * part))
        yield command


def _process(course_id: str) -> int:
    project = Project(HERE)
    server = Access(project, course_id).server()
    if server is None:
        raise SystemExit(f"{course_id} has no server; bring it up first")
    record = Identity.of(project.state).data / "machines" / str(server.id) / "process.json"
    return int(json.loads(record.read_text(encoding="utf-8"))["pid"])


def _group(pid: int) -> Path:
    """The control group that limits the processor time of a process."""
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if "cpu" in controllers.split(","):
            return ROOT / "cpu" / path.lstrip("/")
    return ROOT / path.lstrip("/")


def _quota(group: Path) -> Path:
    old = group / "cpu.cfs_quota_us"
    return old if old.exists() else group / "cpu.max"


def _text(quota: Path, part: float) -> str:
    allowed = int(part * CPU_PERIOD_US)
    return str(allowed) if quota.name == "cpu.cfs_quota_us" else f"{allowed} {CPU_PERIOD_US}"


@contextlib.contextmanager
def _limited(group: Path, part: float) -> Iterator[None]:
    quota = _quota(group)
    before = quota.read_text()
    quota.write_text(_text(quota, part))
    try:
        yield
    finally:
        quota.write_text(before)


def main() -> int:
    """Measure and compare with the goal; return 1 if it is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--own-cpus", type=float, metavar="PART", help="the part of a processor for each machine")
    parser.add_argument("courses", nargs="+", metavar="COURSE")
    options = parser.parse_args()
    courses: list[str] = options.courses
    if len(courses) < 2:
        parser.error("name two courses or more")
    # The first apply may ship the states that the others reuse.
    subprocess.run([HERE / "coursehub", "apply", *courses], check=True, stdout=subprocess.DEVNULL)
    with contextlib.ExitStack() as stack:
        command = stack.enter_context(own_cpus(courses, options.own_cpus)) if options.own_cpus else []
        alone, together = seconds(courses[:1], command), seconds(courses, command)
    ratio = together / alone
    print(f"one {alone:.1f} s, {len(courses)} at once {together:.1f} s: {ratio:.1f} times (goal {GOAL:.0f} for ten)")
    return 0 if ratio <= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
