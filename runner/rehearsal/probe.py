"""Runs on the server as root and prints what its parts have used so far, as JSON. It imports nothing of coursehub.

CPU seconds are those of running processes and of their ended children. Memory is PSS: shared memory counts once.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
#: How the command line of a person's server ends.
SERVERS = (b"jupyterhub-singleuser", b"class_server/single_user.py")
PARTS = {"hub": "jupyterhub", "proxy": "jupyterhub-proxy", "nginx": "nginx"}


def shown(unit: str, *names: str) -> dict[str, str]:
    """Properties of a unit."""
    lines = subprocess.run(
        ["systemctl", "show", unit, *(f"--property={name}" for name in names)],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def processes(unit: str) -> list[int]:
    """The processes of a unit, from its control group. systemd may use one of several cgroup hierarchies."""
    group = shown(unit, "ControlGroup").get("ControlGroup", "")
    found: set[int] = set()
    for root in ("/sys/fs/cgroup", "/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified"):
        for path in Path(f"{root}{group}").rglob("cgroup.procs") if group else ():
            try:
                found.update(map(int, path.read_text().split()))
            except OSError:
                continue
    return sorted(found)


def cpu(pid: int) -> float:
    """CPU seconds of a process and its ended children; 0 if it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / TICKS


def pss(pid: int) -> float:
    """PSS of a process in megabytes; 0 if it is gone."""
    try:
        found = re.search(r"^Pss: +(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    except OSError:
        return 0.0
    return int(found[1]) / 1024 if found else 0.0


def sums(pids: list[int]) -> dict[str, float]:
    """CPU seconds, megabytes and number of some processes."""
    return {"cpu": round(sum(map(cpu, pids)), 2), "pss": round(sum(map(pss, pids)), 1), "processes": len(pids)}


def kind(pid: int) -> str:
    """Whether a student's process is the server or belongs to a kernel."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return "gone"
    return "server" if any(word.endswith(SERVERS) for word in command) else "kernel"


def person(unit: str) -> dict[str, dict[str, float]]:
    """What one student's unit has used, by kind."""
    by_kind: dict[str, list[int]] = {"server": [], "kernel": []}
    for pid in processes(unit):
        by_kind.setdefault(kind(pid), []).append(pid)
    return {name: sums(by_kind[name]) for name in ("server", "kernel")}


def main(prefix: str) -> None:
    """Print the JSON. People are the accounts that begin with ``prefix``."""
    units = subprocess.run(
        ["systemctl", "list-units", "--plain", "--no-legend", f"jupyter-{prefix}*.service"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.split("\n")
    room = shown("class.slice", "MemoryCurrent", "MemoryMax", "CPUUsageNSec")
    print(
        json.dumps(
            {
                "parts": {name: sums(processes(unit)) for name, unit in PARTS.items()} | {"systemd": sums([1])},
                "people": [person(line.split()[0]) for line in units if line.strip()],
                "class": {name: int(value) if value.isdigit() else None for name, value in room.items()},
                "cores": len(os.sched_getaffinity(0)),
                "load": os.getloadavg()[0],
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1])
