"""Our own attacks (tests/attacks) on the hub, as its students, its teachers and strangers."""

from __future__ import annotations

import tempfile
from pathlib import Path
from xml.etree import ElementTree

from runner.audit.goals import Finding, Measure
from runner.audit.subject import ScanFailed, Subject, program

SECONDS = 3600
LAUNCHER = Path("coursehub")


def measure(subject: Subject) -> list[Measure]:
    """Run all attacks except those that a class at work would notice."""
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch, "report.xml")
        root = subject.project.root
        argv = [str(root / LAUNCHER), "test", "attacks", "--hub", subject.course_id, "-q", "-m", "not disturbs"]
        _, said, errors = program([*argv, f"--junitxml={report}"], seconds=SECONDS)
        if not report.exists():
            last = [line for line in (said + errors).splitlines() if line.strip()]
            raise ScanFailed(f"the attacks did not run: {(last or ['no output'])[-1].strip()[:200]}")
        return [parse(report.read_bytes())]


def parse(report: bytes) -> Measure:
    """The attacks that were not stopped. Raises ScanFailed if hardly any was tried."""
    cases = list(ElementTree.fromstring(report).iter("testcase"))  # noqa: S314
    tried = [one for one in cases if one.find("skipped") is None]
    if not tried:
        raise ScanFailed("no attack was tried")
    findings = []
    for one in tried:
        for verdict in (*one.findall("failure"), *one.findall("error")):
            said = (verdict.get("message") or verdict.tag).strip().splitlines() or [""]
            findings.append(Finding(str(one.get("name")), said[0][:200]))
    return Measure("attacks", "that succeeded", tuple(findings))
