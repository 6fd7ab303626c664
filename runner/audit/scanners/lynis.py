"""lynis: points for the server's configuration, out of those possible."""

from __future__ import annotations

import re
from collections.abc import Iterator

from runner.audit import debian
from runner.audit.goals import Finding, Measure
from runner.audit.subject import ScanFailed, Subject

SECONDS = 900
_TEST = re.compile(r"Performing test ID (\S+)")
_POINTS = re.compile(r"Hardening: assigned .*Currently having (\d+) points \(out of (\d+)\)")
#: The part of a log line that names one item of a test with several items.
_DETAIL = re.compile(
    r"sysctl key (\S+) has a different|\[details:([A-Za-z]\w+) \(set|Option (\w+)|Result: marked (/\S+)|"
    r"protocol '(\w+)'|place (/\w+) on"
)

# It leaves /var/log unchanged and deletes its own temporary files in /tmp.
_RUN = r"""
cd %(room)s/lynis
./lynis audit system --quick --no-colors --quiet --logfile %(room)s/log --report-file %(room)s/report \
    --profile %(room)s/lynis/default.prf </dev/null >%(room)s/out 2>&1 || true
test -s %(room)s/log
"""


def measure(subject: Subject) -> list[Measure]:
    """Runs from a directory that is deleted afterwards; nothing is installed."""
    unpacked = debian.unpacked(subject.project.root, "lynis")
    contents = [
        *((path, f"lynis/{path.name}") for path in (unpacked / "usr/share/lynis").iterdir()),
        (unpacked / "usr/sbin/lynis", "lynis/lynis"),
        (unpacked / "etc/lynis/default.prf", "lynis/default.prf"),
        (unpacked / "etc/lynis/plugins", "lynis/plugins"),
    ]
    with subject.room(contents) as room:
        subject.run(_RUN % {"room": room}, seconds=SECONDS)
        return [parse(subject.fetch(f"{room}/log").decode(errors="replace"))]


def parse(log: str) -> Measure:
    """The hardening index from the points in the log, with each test that did not get all its points.

    Raises ScanFailed if the log has none.
    """
    reached = possible = 0
    findings = []
    for test, detail, now, of in _steps(log):
        lost, there = (of - possible) - (now - reached), of - possible
        if lost > 0:
            findings.append(Finding(f"{test}:{detail}" if detail else test, f"{lost} of {there} points", lost, there))
        reached, possible = now, of
    if not possible:
        raise ScanFailed("lynis gave no points; its log is not as its version 3 writes it")
    return Measure("lynis", "hardening index", tuple(_together(findings)), score=(reached, possible))


def _steps(log: str) -> Iterator[tuple[str, str, int, int]]:
    test, before = "", ""
    for line in log.splitlines():
        if found := _TEST.search(line):
            test = found[1]
        elif found := _POINTS.search(line):
            named = _DETAIL.search(before)
            yield test, next(filter(None, named.groups()), "") if named else "", int(found[1]), int(found[2])
        before = line


def _together(findings: list[Finding]) -> Iterator[Finding]:
    """One finding for each name: a test without details can lose points twice."""
    by_id: dict[str, list[Finding]] = {}
    for one in findings:
        by_id.setdefault(one.id, []).append(one)
    for name, same in by_id.items():
        lost, possible = sum(one.lost for one in same), sum(one.possible for one in same)
        yield Finding(name, f"{lost} of {possible} points", lost, possible)
