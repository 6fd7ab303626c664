"""Whether a program of this student's server computes: in a terminal, in the background, or left over by one.

A program that prints nothing sends no message, so Jupyter knows nothing of it. Its unit's control group does. Standard
library only.
"""

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path

#: What uses more than this part of a processor computes. An open `top` or an idle kernel uses less than half of it.
BUSY = 0.05
#: Seconds between two measurements, at least: within less, one short command would look like work.
APART = 30.0


class Programs:
    """Looks how much the unit's processes, without the server itself, have computed since the last look.

    ``spent`` returns their CPU seconds so far, None if nobody knows; ``wants`` returns the numbers of those that could
    use a processor now; ``clock`` returns seconds.
    """

    def __init__(
        self,
        spent: Callable[[], float | None] | None = None,
        clock: Callable[[], float] = time.monotonic,
        wants: Callable[[], set[str]] | None = None,
    ) -> None:
        self._spent, self._clock, self._wants = spent or others, clock, wants or who_wants
        self._looked, self._cpu = clock(), self._spent()
        self._working = False
        self._wanted: set[str] = set()

    def working(self) -> bool:
        """Return whether they computed between the last two looks."""
        now = self._clock()
        passed = now - self._looked
        if passed >= APART:
            cpu = self._spent()
            used = cpu is not None and self._cpu is not None and cpu - self._cpu > BUSY * passed
            # When many compute, one may get less than that. One process that wants a processor at two looks computes.
            wants = self._wants()
            self._working = used or bool(wants & self._wanted)
            self._looked, self._cpu, self._wanted = now, cpu, wants
        return self._working


def others() -> float | None:
    """Return the CPU seconds of this unit so far, without those of this process itself; None if nobody knows."""
    whole = unit()
    return None if whole is None else whole - time.process_time()


def who_wants(
    own: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup"), proc: Path = Path("/proc")
) -> set[str]:
    """Return the other processes of this process's unit that run or wait for a processor; none if nobody knows."""
    path = _groups(own).get("", "")
    # Otherwise the group is that of others, too.
    if path.endswith(".service"):
        for group in _second(path, root):
            with contextlib.suppress(OSError, ValueError):
                members = (group / "cgroup.procs").read_text().split()
                return {pid for pid in members if int(pid) != os.getpid() and _runnable(proc / pid / "stat")}
    return set()


def _runnable(stat: Path) -> bool:
    with contextlib.suppress(OSError):
        # The name before it may contain anything.
        return stat.read_text(errors="replace").rpartition(")")[2].split()[0] == "R"
    return False


def unit(own: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")) -> float | None:
    """Return the CPU seconds of this process's unit so far; None if nobody knows.

    ``own`` names its control groups. That of version 2 counts them, also where systemd has the limits in version 1. If
    there is only version 1, a unit with a limit has a counter of nanoseconds.
    """
    for controllers, path in sorted(_groups(own).items()):
        if not controllers:
            for group in _second(path, root):
                with contextlib.suppress(OSError, ValueError, KeyError):
                    figures = (group / "cpu.stat").read_text().splitlines()
                    return int(dict(figure.split() for figure in figures)["usage_usec"]) / 1e6
        elif "cpuacct" in controllers.split(",") and path.endswith(".service"):
            # Without a counter of its own, the path is that of the slice, which counts everybody.
            with contextlib.suppress(OSError, ValueError):
                return int((root / controllers / path / "cpuacct.usage").read_text()) / 1e9
    return None


def _groups(own: Path) -> dict[str, str]:
    """Return a process's control groups by their controllers; that of version 2 has none. Empty if nobody knows."""
    with contextlib.suppress(OSError):
        lines = [line.split(":", 2) for line in own.read_text(encoding="utf-8").splitlines()]
        return {controllers: path.strip("/") for _, controllers, path in lines if path.strip("/")}
    return {}


def _second(path: str, root: Path) -> list[Path]:
    """Return where a group of version 2 may be: systemd mounts it elsewhere if there is version 1, too."""
    return [root / path, root / "unified" / path]
