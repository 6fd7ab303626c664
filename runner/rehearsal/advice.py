"""Says for a teacher whether the server is big enough, and which size is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runner.agreed import CLASS_MEMORY
from runner.cloud import Size

#: Most seconds that a student should wait until the first cell runs.
PATIENCE = 60
#: MB for the hub, nginx and the system.
SYSTEM = 600


@dataclass(frozen=True)
class Need:
    """What one student needs: MB for a server and a kernel, and the server's CPU seconds until the first answer."""

    megabytes: float
    cpu: float


#: The same for 24 students on the day MEASURED (docs/performance.md): 83 MB from images, up to 170 after a restart of
#: the kernel, which starts without one.
USUAL, MEASURED = Need(150, 2.1), "30 November 2026"


def holds(size: Size, need: Need) -> int:
    """For how many students a size has enough memory."""
    return max(int(min(size.memory * CLASS_MEMORY, size.memory - SYSTEM) / need.megabytes), 0)


def cheapest(sizes: Mapping[str, Size], region: str, students: int, need: Need) -> Size | None:
    """The cheapest size of a region for so many students, with enough processors for a start within PATIENCE."""
    vcpus = math.ceil(need.cpu * students / PATIENCE)
    fitting = [
        size
        for size in sizes.values()
        if holds(size, need) >= students and size.vcpus >= vcpus and region in size.regions
    ]
    return min(fitting, key=lambda size: size.price_monthly, default=None)


def advise(done: Mapping[str, Any], sizes: Mapping[str, Size], current: str, region: str) -> list[str]:
    """Lines for the teacher: how many got a server, how many the memory is enough for, and which size to take."""
    students, served = done["students"], done["served"]
    first = done["steps"]["first answer"]
    here, each = sizes.get(current), _each(done)
    lines = []
    if served == students:
        lines.append(f"Your server holds all {students}.")
    else:
        lines.append(f"Your server holds {served} of {students}; {_better(done, sizes, here, region)}.")
    if first["count"]:
        lines.append(
            f"From the sign-in page to the first answer of a kernel: half of them within {first['p50']:.0f} s, the "
            f"slowest {first['max']:.0f} s."
        )
    if first["count"] and first["max"] > PATIENCE and served == students:
        lines.append(f"That is long: {_better(done, sizes, here, region)}.")
    room = _room(done)
    if each and room:
        lines.append(f"Each one's server and kernel use {each:.0f} MB; the memory is enough for {int(room / each)}.")
    return lines


def _each(done: Mapping[str, Any]) -> float:
    """MB of one student's server and kernels; 0 if nobody had one."""
    people = done["usage"]["people"]["server"]["pss"]["count"]
    return float(done["usage"]["pss"] / people) if people else 0.0


def _room(done: Mapping[str, Any]) -> float:
    """MB that the class may use; 0 if there is no limit."""
    return (done["usage"]["class"].get("MemoryMax") or 0) / (1 << 20)


def _better(done: Mapping[str, Any], sizes: Mapping[str, Size], here: Size | None, region: str) -> str:
    """Which size to take instead of the present one."""
    each = _each(done)
    if not each or here is None:
        return "nobody's server ran, so the size that is needed is unknown: 'coursehub check' says what is wrong"
    servers = done["usage"]["people"]["server"]["pss"]["count"]
    work = sum(part["cpu"] for part in done["usage"]["parts"].values()) + done["usage"]["people_cpu"]
    bigger = {slug: size for slug, size in sizes.items() if size.price_monthly > here.price_monthly}
    best = cheapest(bigger, region, done["students"], Need(each, work / servers))
    if best is None:
        return f"no size in {region} is big enough for all at once; let them start in groups"
    return f"take {best.slug}, {best.price_monthly - here.price_monthly:.0f} dollars more a month"


def lines(document: Mapping[str, Any]) -> list[str]:
    """The document as lines of text: each step's figures, the server's cost, and the advice."""
    if "steps" not in document:
        return []
    found = [f"  {'seconds':<14}{'people':>8}{'half':>8}{'95 %':>8}{'slowest':>9}"]
    for step, one in document["steps"].items():
        if one["count"]:
            found.append(f"  {step:<14}{one['count']:>8}{one['p50']:>8.1f}{one['p95']:>8.1f}{one['max']:>9.1f}")
    found += [f"  {count} failed at {why}" for why, count in document["failures"].items()]
    usage = document["usage"]
    for name, part in usage["parts"].items():
        found.append(f"  {name}: {part['cpu']:.1f} CPU-s, {part['pss']:.0f} MB")
    for name, one in usage["people"].items():
        if one["pss"]["count"]:
            cpu, pss = one["cpu"], one["pss"]
            found.append(
                f"  a student's {name}: {cpu['p50']:.2f} CPU-s and {pss['p50']:.0f} MB, at most "
                f"{cpu['max']:.2f} CPU-s and {pss['max']:.0f} MB"
            )
    return found + list(document.get("advice", ()))
