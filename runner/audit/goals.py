"""The goal of each figure of an audit, and the comparison with what was measured."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from dataclasses import dataclass

from runner.agreed import PUBLIC_PORTS
from runner.audit.waivers import Waivers

Value = float | int | str


@dataclass(frozen=True)
class Finding:
    """One defect that a scanner reports. ``id`` is the scanner's own name for it.

    ``lost`` and ``possible`` are its points, if the scanner keeps a score.
    """

    id: str
    detail: str = ""
    lost: float = 0
    possible: float = 0


@dataclass(frozen=True)
class Measure:
    """One figure from a scanner. ``score`` is (reached, possible) if findings cost points.

    ``value`` is the number of findings unless something else is given.
    """

    scanner: str
    name: str
    findings: tuple[Finding, ...] = ()
    value: Value | None = None
    score: tuple[float, float] | None = None


@dataclass(frozen=True)
class Goal:
    """The goal of a figure."""

    sign: str
    wanted: Value

    def met(self, value: Value) -> bool:
        """Whether a figure meets the goal; text never equals a number."""
        if isinstance(value, str) or isinstance(self.wanted, str):
            return self.sign == "=" and value == self.wanted
        compare = {"=": operator.eq, "<=": operator.le, ">=": operator.ge}[self.sign]
        return bool(compare(value, self.wanted))

    def __str__(self) -> str:
        return str(self.wanted) if self.sign == "=" else f"{self.sign} {self.wanted}"


_PORTS = " ".join(map(str, PUBLIC_PORTS))
#: The goal by (scanner, figure).
GOALS: dict[tuple[str, str], Goal] = {
    ("ssh-audit", "failures"): Goal("=", 0),
    ("ssh-audit", "warnings"): Goal("=", 0),
    ("ssh-audit", "hardened policy"): Goal("=", "passed"),
    ("testssl", "grade"): Goal("=", "A+"),
    ("testssl", "score"): Goal(">=", 96),
    ("sslyze", "Mozilla intermediate 6.0"): Goal("=", "compliant"),
    ("observatory", "/"): Goal(">=", 130),
    ("observatory", "/hub/login"): Goal(">=", 130),
    ("observatory", "/hub/home"): Goal(">=", 130),
    ("ports", "open by IPv4"): Goal("=", _PORTS),
    ("ports", "open by IPv6"): Goal("=", _PORTS),
    ("units", "above their goal"): Goal("=", 0),
    ("lynis", "hardening index"): Goal(">=", 85),
    ("openscap", "ANSSI minimal"): Goal(">=", 100),
    ("openscap", "ANSSI intermediary"): Goal(">=", 90),
    ("versions", "below the minimum in locks"): Goal("=", 0),
    ("versions", "below the minimum on this computer"): Goal("=", 0),
    ("versions", "below the minimum on the server"): Goal("=", 0),
    ("versions", "services with replaced files in memory"): Goal("=", 0),
    ("attacks", "that succeeded"): Goal("=", 0),
    ("apply", "changes after the audit"): Goal("=", 0),
}


@dataclass(frozen=True)
class Figure:
    """One line of the audit. ``raw`` is the scanner's own value before waivers, if it differs."""

    scanner: str
    name: str
    value: Value
    goal: str
    ok: bool
    raw: Value | None = None
    findings: tuple[Finding, ...] = ()
    waived: tuple[str, ...] = ()


def judge(measures: Iterable[Measure], waivers: Waivers) -> list[Figure]:
    """Compare each figure with its goal. Findings under a waiver are named, and the scanner's own value is kept."""
    return [_judge(one, waivers) for one in measures]


def _judge(one: Measure, waivers: Waivers) -> Figure:
    goal = GOALS[one.scanner, one.name]
    waived = [finding for finding in one.findings if waivers.covers(one.scanner, finding.id)]
    left = tuple(finding for finding in one.findings if finding not in waived)
    if one.score:
        reached, possible = one.score
        raw: Value = _percent(reached, possible)
        value: Value = _percent(
            reached - sum(finding.possible - finding.lost for finding in waived),
            possible - sum(finding.possible for finding in waived),
        )
    elif one.value is not None:
        raw = value = one.value
    else:
        raw, value = len(one.findings), len(left)
    return Figure(
        one.scanner,
        one.name,
        value,
        str(goal),
        goal.met(value),
        raw if raw != value else None,
        left,
        tuple(finding.id for finding in waived),
    )


def _percent(reached: float, possible: float) -> float:
    return round(100 * reached / possible, 1) if possible else 100.0
