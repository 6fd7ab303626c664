"""The list of scanners, and one run of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from runner.audit.goals import Figure, Measure, judge
from runner.audit.scanners import attacks, headers, lynis, openscap, ports, software, sshd, tls, units
from runner.audit.subject import Subject
from runner.audit.waivers import Waivers
from runner.errors import CoursehubError


@dataclass(frozen=True)
class Scanner:
    """One scanner and its name; ``quick`` if it takes less than 30 seconds."""

    name: str
    measure: Callable[[Subject], list[Measure]]
    quick: bool


#: In the order of a run: the fastest first, and those that leave the most load last.
SCANNERS = (
    Scanner("versions", software.measure, True),
    Scanner("ssh-audit", sshd.measure, True),
    Scanner("sslyze", tls.measure_sslyze, True),
    Scanner("observatory", headers.measure, True),
    Scanner("units", units.measure, True),
    Scanner("ports", ports.measure, False),
    Scanner("lynis", lynis.measure, False),
    Scanner("openscap", openscap.measure, False),
    Scanner("testssl", tls.measure_testssl, False),
    Scanner("attacks", attacks.measure, False),
)
NAMES = tuple(scanner.name for scanner in SCANNERS)


@dataclass(frozen=True)
class Outcome:
    """All figures of a run, the scanners that failed, and waivers that matched nothing."""

    figures: tuple[Figure, ...]
    silent: dict[str, str]
    idle_waivers: tuple[str, ...]
    seconds: dict[str, float]

    @property
    def ok(self) -> bool:
        """Whether every scanner ran and every figure meets its goal."""
        return not self.silent and all(figure.ok for figure in self.figures)


def run(subject: Subject, waivers: Waivers, chosen: Iterable[str], progress: Callable[[str], None]) -> Outcome:
    """Run the chosen scanners one after the other; if one fails, the others still run."""
    figures: list[Figure] = []
    silent: dict[str, str] = {}
    seconds: dict[str, float] = {}
    wanted = set(chosen)
    for scanner in SCANNERS:
        if scanner.name not in wanted:
            continue
        progress(scanner.name)
        began = time.monotonic()
        try:
            figures += judge(scanner.measure(subject), waivers)
        except (CoursehubError, OSError) as failure:
            silent[scanner.name] = str(failure)
        seconds[scanner.name] = round(time.monotonic() - began, 1)
    # OpenSCAP has rules for only one release and gives no figure on others.
    ran = {figure.scanner for figure in figures}
    return Outcome(tuple(figures), silent, tuple(waivers.idle(ran)), seconds)
