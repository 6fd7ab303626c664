"""Whose server makes room when others wait for memory: the one that nobody has used for the longest time."""

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

# Seconds for which a server must stay unused while others wait. It reports its use every 54 to 66 s (activity.py), and
# while a whole class signs in, the hub takes some seconds to read a report.
SETTLE = 90.0
# Seconds between two stops: the memory of the first must come free before another is chosen.
PAUSE = 10.0
# A server that uses more than this part of a processor computes, for example in a terminal, whose use is not reported.
BUSY = 0.05
# Seconds after it came up in which a report is no use by a person.
START = 120.0
#: The user option with the time (Unix) at which before_class.py started a server. The hub keeps it for later starts.
EARLY = "before_class"


@dataclass(frozen=True)
class Seen:
    """An unused server as it was first seen while somebody waited."""

    used: datetime
    cpu: float
    since: datetime


class Unused:
    """Finds the server to stop. ``seconds`` is how long it must be unused; ``spared`` are groups whose members keep it.

    A server that was started before a class, and that nobody has used, goes first and at once.
    """

    def __init__(self, seconds: int, spared: Iterable[str], cpu: Callable[[Any], float | None]) -> None:
        self._seconds = seconds
        self._spared = set(spared)
        self._cpu = cpu
        self._seen: dict[str, Seen] = {}
        self._stopped = datetime.min.replace(tzinfo=UTC)

    def find(self, spawners: Iterable[Any], now: datetime) -> Any | None:
        """Return the spawner whose server to stop now; None if there is none yet."""
        if (now - self._stopped).total_seconds() < PAUSE:
            return None
        unused = sorted(
            ((used, one) for one in spawners if (used := self._unused_since(one, now)) is not None),
            key=lambda pair: (not is_early(pair[1]), pair[0]),
        )
        names = {one.user.name for _, one in unused}
        self._seen = {name: seen for name, seen in self._seen.items() if name in names}
        ready = [one for used, one in unused if self._stays(one, used, now)]
        if not ready:
            return None
        self._stopped = now
        return ready[0]

    def _unused_since(self, spawner: Any, now: datetime) -> datetime | None:
        used = last_used(spawner)
        if not spawner.ready or used is None or {group.name for group in spawner.user.groups} & self._spared:
            return None
        least = START if is_early(spawner) else self._seconds
        return used if (now - used).total_seconds() >= least else None

    def _stays(self, spawner: Any, used: datetime, now: datetime) -> bool:
        """Whether a server was unused, and did not compute, for all of SETTLE."""
        name, cpu = spawner.user.name, self._cpu(spawner)
        if cpu is None:
            # It may compute.
            return False
        seen = self._seen.get(name)
        if seen is None or seen.used != used:
            self._seen[name] = Seen(used, cpu, now)
            return False
        waited = (now - seen.since).total_seconds()
        if waited < SETTLE:
            return False
        if cpu - seen.cpu > BUSY * waited:
            self._seen[name] = Seen(used, cpu, now)
            return False
        return True


def is_early(spawner: Any) -> bool:
    """Whether a server was started before a class and nobody has used it since."""
    row, asked = spawner.orm_spawner, (spawner.user_options or {}).get(EARLY)
    if not row or not row.started or not isinstance(asked, float):
        return False
    started, used = utc(row.started), last_used(spawner)
    if used is None or not 0 <= started.timestamp() - asked < START:
        return False
    # A server reports the time at which it came up, on a busy machine minutes after its start began.
    came_up = max(started, datetime.fromtimestamp(spawner.up, UTC))
    return used - came_up < timedelta(seconds=START)


def last_used(spawner: Any) -> datetime | None:
    """Return when a server was last used; None if the hub does not know."""
    row = spawner.orm_spawner
    when = (row.last_activity or row.started) if row else None
    return utc(when) if when else None


def utc(when: datetime) -> datetime:
    """Return a time of the hub's database, which has no zone."""
    return when.replace(tzinfo=UTC)


def cpu_seconds(slice_name: str, unit: str, root: Path) -> float | None:
    """Return the CPU seconds of a unit so far, from its control group below ``root``; None if nobody knows.

    That of version 2 counts them, also where systemd has the limits in version 1. Where there is only version 1, a unit
    with a limit has a counter of nanoseconds.
    """
    for mounted in (root, root / "unified"):
        with contextlib.suppress(OSError, ValueError, KeyError):
            lines = (mounted / slice_name / f"{unit}.service" / "cpu.stat").read_text().splitlines()
            return int(dict(line.split() for line in lines)["usage_usec"]) / 1e6
    for mounted in (root / "cpuacct", root / "cpu,cpuacct"):
        with contextlib.suppress(OSError, ValueError):
            return int((mounted / slice_name / f"{unit}.service" / "cpuacct.usage").read_text()) / 1e9
    return None
