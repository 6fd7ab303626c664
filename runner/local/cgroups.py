"""Enforces a size's memory and CPU with control groups on each kind of host.

There are three kinds: hosts with systemd (a transient scope; systemd manages the tree, v1 or v2), and hosts with
another PID 1, with cgroup v1 (one tree per controller) or v2 (one tree for all).
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from runner.errors import CoursehubError
from runner.local.host import run

ROOT = Path("/sys/fs/cgroup")
CPU_PERIOD_US = 100_000


@dataclass(frozen=True)
class Limits:
    """A machine's limits: memory in bytes, and whole virtual CPUs."""

    memory: int
    vcpus: int


class Cgroups(Protocol):
    """Limits machines on one kind of host."""

    def command(self, name: str, limits: Limits, argv: list[str]) -> list[str]:
        """Prepare the group and return the command that runs ``argv`` in it with the same process id."""

    def destroy(self, name: str) -> None:
        """Kill all processes in the group and remove it; does nothing if there is none."""


def of_this_host() -> Cgroups:
    """The implementation for this host. Raises CoursehubError if no control groups are mounted."""
    if Path("/run/systemd/system").is_dir():
        return Systemd()
    if (ROOT / "cgroup.controllers").exists():
        return V2()
    if (ROOT / "memory/cgroup.procs").exists():
        return V1()
    raise CoursehubError(f"no control groups are mounted on {ROOT}; mount them (cgroupfs-mount) and run this again")


def host_is_v1() -> bool:
    """Whether machines use cgroup v1, so that nspawn's read-only mounts must be remounted."""
    return not (ROOT / "cgroup.controllers").exists()


class Systemd:
    """A transient scope per machine, delegated so that the machine's own systemd can divide it."""

    def command(self, name: str, limits: Limits, argv: list[str]) -> list[str]:
        """The machine's command in a new scope of systemd."""
        self.destroy(name)
        properties = [
            "Delegate=yes",
            f"MemoryMax={limits.memory}",
            "MemorySwapMax=0",
            f"CPUQuota={limits.vcpus * 100}%",
        ]
        options = [word for item in properties for word in ("-p", item)]
        return ["systemd-run", "--scope", "--quiet", "--collect", f"--unit={name}", *options, "--", *argv]

    def destroy(self, name: str) -> None:
        """Stop the scope."""
        run(["systemctl", "kill", "--signal=KILL", f"{name}.scope"], check=False)
        run(["systemctl", "stop", f"{name}.scope"], check=False)
        run(["systemctl", "reset-failed", f"{name}.scope"], check=False)


class V1:
    """A group per machine in each controller's tree."""

    def command(self, name: str, limits: Limits, argv: list[str]) -> list[str]:
        """The machine's command, started by a shell that moves itself into the groups first."""
        groups = [tree / name for tree in self._trees()]
        for group in groups:
            group.mkdir(exist_ok=True)
            self._limit(group, limits)
        return _enter(groups, argv)

    def destroy(self, name: str) -> None:
        """Empty and remove the groups in all trees."""
        for tree in self._trees():
            _remove(tree / name)

    def _trees(self) -> Iterator[Path]:
        for tree in sorted(ROOT.iterdir()):
            # Includes "unified" on a hybrid host: the machine's systemd tracks its processes there.
            if not tree.is_symlink() and (tree / "cgroup.procs").exists():
                yield tree

    def _limit(self, group: Path, limits: Limits) -> None:
        for name in ("cpuset.cpus", "cpuset.mems"):
            # A new cpuset is empty and accepts no process until these are set.
            if (group / name).exists() and not (group / name).read_text().strip():
                (group / name).write_text((group.parent / name).read_text())
        if (group / "memory.limit_in_bytes").exists():
            _raise_or_lower(group, limits.memory)
        if (group / "cpu.cfs_quota_us").exists():
            (group / "cpu.cfs_period_us").write_text(str(CPU_PERIOD_US))
            (group / "cpu.cfs_quota_us").write_text(str(limits.vcpus * CPU_PERIOD_US))


def _raise_or_lower(group: Path, memory: int) -> None:
    """Set memory with and without swap.

    The first must never exceed the second, so the order of writing depends on the direction.
    """
    names = ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"]
    present = [name for name in names if (group / name).exists()]
    if int((group / present[0]).read_text()) < memory:
        present.reverse()
    for name in present:
        (group / name).write_text(str(memory))


class V2:
    """A group per machine in the single tree."""

    def command(self, name: str, limits: Limits, argv: list[str]) -> list[str]:
        """The machine's command, started by a shell that moves itself into the group first."""
        group = ROOT / name
        wanted = [
            c
            for c in ("cpu", "memory", "pids", "io", "cpuset")
            if c in (ROOT / "cgroup.controllers").read_text().split()
        ]
        try:
            (ROOT / "cgroup.subtree_control").write_text(" ".join(f"+{controller}" for controller in wanted))
        except OSError:
            # In a container the root group has processes, and a group with processes cannot delegate controllers, so
            # they are moved down.
            _empty_root()
            (ROOT / "cgroup.subtree_control").write_text(" ".join(f"+{controller}" for controller in wanted))
        group.mkdir(exist_ok=True)
        (group / "memory.max").write_text(str(limits.memory))
        if (group / "memory.swap.max").exists():
            (group / "memory.swap.max").write_text("0")
        (group / "cpu.max").write_text(f"{limits.vcpus * CPU_PERIOD_US} {CPU_PERIOD_US}")
        return _enter([group], argv)

    def destroy(self, name: str) -> None:
        """Empty and remove the group."""
        _remove(ROOT / name)


def _empty_root() -> None:
    leaf = ROOT / "init"
    leaf.mkdir(exist_ok=True)
    for pid in (ROOT / "cgroup.procs").read_text().split():
        with contextlib.suppress(OSError):
            (leaf / "cgroup.procs").write_text(pid)


def _enter(groups: list[Path], argv: list[str]) -> list[str]:
    script = 'while [ "$1" != -- ]; do echo $$ >"$1/cgroup.procs" || exit 1; shift; done; shift; exec "$@"'
    return ["/bin/sh", "-c", script, "enter", *map(str, groups), "--", *argv]


def _remove(group: Path, timeout: float = 10.0) -> None:
    deadline = time.monotonic() + timeout
    while group.exists() and time.monotonic() < deadline:
        below = sorted((Path(path) for path, _, _ in os.walk(group)), reverse=True)
        for directory in below:
            for pid in _processes(directory):
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(OSError):
                directory.rmdir()
        if group.exists():
            time.sleep(0.05)


def _processes(directory: Path) -> list[int]:
    try:
        return [int(pid) for pid in (directory / "cgroup.procs").read_text().split() if pid != "0"]
    except OSError:
        return []
