"""Goals, waivers and results of an audit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from runner.audit import run, waivers
from runner.audit.goals import GOALS, Finding, Goal, Measure, judge
from runner.audit.run import NAMES
from runner.audit.waivers import Waivers
from runner.errors import CoursehubError

pytestmark = pytest.mark.unit

REASON = "There is a good reason for this one."


def waived(*pairs: tuple[str, str]) -> Waivers:
    rows = [
        waivers.Waiver(scanner=scanner, findings=(finding,), where="everywhere", reason=REASON)
        for scanner, finding in pairs
    ]
    return Waivers(tuple(rows))


def write(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text(yaml.safe_dump({"waivers": list(rows)}), "utf-8")
    return path


@pytest.mark.parametrize(
    ("goal", "good", "bad"),
    [
        (Goal("=", 0), 0, 1),
        (Goal(">=", 96), 96, 95.9),
        (Goal("<=", 9.0), 9.0, 9.1),
        (Goal("=", "A+"), "A+", "A"),
        (Goal("=", "22 80 443"), "22 80 443", "22 80 443 8000"),
        # Text is never compared as a number.
        (Goal(">=", 96), 100, "A+"),
        (Goal("=", "passed"), "passed", 1),
    ],
)
def test_a_figure_meets_its_goal_or_not(goal: Goal, good: float | str, bad: float | str) -> None:
    assert goal.met(good)
    assert not goal.met(bad)


def test_figure_is_shown_with_its_goal() -> None:
    [figure] = judge([Measure("testssl", "score", value=95)], waived())
    assert (figure.value, figure.goal, figure.ok, figure.raw) == (95, ">= 96", False, None)


def test_a_waived_finding_is_named_and_not_counted() -> None:
    measure = Measure("ssh-audit", "warnings", (Finding("kex a"), Finding("mac b")))
    [figure] = judge([measure], waived(("ssh-audit", "kex a"), ("lynis", "mac b")))
    assert (figure.value, figure.raw, figure.ok) == (1, 2, False)
    assert figure.waived == ("kex a",)
    assert [one.id for one in figure.findings] == ["mac b"]


def test_waived_points_leave_both_sides_of_a_score() -> None:
    """A waived finding neither helps nor hurts: its points are removed from both sides."""
    findings = (Finding("USB-3000", "", lost=8, possible=8), Finding("SSH", "", lost=1, possible=3))
    measure = Measure("lynis", "hardening index", findings, score=(71, 80))
    [before] = judge([measure], waived())
    assert (before.value, before.raw) == (88.8, None)
    [after] = judge([measure], waived(("lynis", "USB-3000")))
    assert (after.value, after.raw) == (98.6, 88.8)
    [both] = judge([measure], waived(("lynis", "USB-3000"), ("lynis", "SSH")))
    assert both.value == 100.0


def test_waiving_never_hides_the_scanners_own_value() -> None:
    measure = Measure("openscap", "ANSSI minimal", (Finding("a", "", 1, 1),), score=(3, 4))
    [figure] = judge([measure], waived(("openscap", "a")))
    assert (figure.value, figure.raw, figure.waived) == (100.0, 75.0, ("a",))


@pytest.mark.parametrize("reason", ["", "  ", "no"])
def test_a_waiver_without_a_reason_is_refused(tmp_path: Path, reason: str) -> None:
    row: dict[str, Any] = {"scanner": "lynis", "findings": ["USB-3000"], "where": "everywhere", "reason": reason}
    with pytest.raises(CoursehubError, match=r"lynis USB-3000: reason: .*sentence that says why") as refused:
        Waivers.load(container=False, path=write(tmp_path / "waivers.yaml", row))
    assert refused.value.exit_code == 2


@pytest.mark.parametrize("missing", ["scanner", "findings", "where", "reason"])
def test_a_waiver_says_all_four_things(tmp_path: Path, missing: str) -> None:
    row: dict[str, Any] = {"scanner": "lynis", "findings": ["USB-3000"], "where": "everywhere", "reason": REASON}
    del row[missing]
    with pytest.raises(CoursehubError, match=f"{missing}: Field required"):
        Waivers.load(container=False, path=write(tmp_path / "waivers.yaml", row))


def test_a_waiver_for_containers_holds_for_those_alone(tmp_path: Path) -> None:
    row: dict[str, Any] = {"scanner": "lynis", "findings": ["KRNL-6000"], "where": "container", "reason": REASON}
    path = write(tmp_path / "waivers.yaml", row)
    assert Waivers.load(container=True, path=path).covers("lynis", "KRNL-6000")
    assert not Waivers.load(container=False, path=path).covers("lynis", "KRNL-6000")


def test_waiver_that_matches_nothing_is_reported() -> None:
    known = waived(("ssh-audit", "kex a"), ("ssh-audit", "kex old"), ("lynis", "USB-3000"))
    judge([Measure("ssh-audit", "warnings", (Finding("kex a"),))], known)
    # lynis did not run, so its waivers cannot be judged.
    assert known.idle({"ssh-audit"}) == ["ssh-audit kex old"]


def test_the_repositorys_waivers_are_of_scanners_there_are() -> None:
    rows = Waivers.load(container=True).rows
    assert rows
    assert {row.scanner for row in rows} <= set(NAMES)
    pairs = [(row.scanner, finding) for row in rows for finding in row.findings]
    assert len(pairs) == len(set(pairs))


def test_what_counts_most_is_never_waived() -> None:
    """Findings can be waived, but not successful attacks or additional open ports."""
    rows = Waivers.load(container=True).rows
    assert not {row.scanner for row in rows} & {"attacks", "ports", "versions", "ssh-audit", "testssl", "sslyze"}


def test_every_scanner_has_a_goal() -> None:
    assert {scanner for scanner, _ in GOALS} == {*NAMES, "apply"}


def test_waivers_of_a_scanner_without_figures_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenSCAP has rules for only one release; on another its waivers match nothing."""
    monkeypatch.setattr(run, "SCANNERS", (run.Scanner("openscap", lambda _: [], False),))
    subject: Any = None
    assert run.run(subject, waived(("openscap", "rule")), ["openscap"], lambda _: None).idle_waivers == ()
