"""systemd-analyze security: how much of the machine each service can reach."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch

from runner.audit.goals import Finding, Measure
from runner.audit.subject import ScanFailed, Subject
from runner.hub.client import HubClient, HubFailure

#: The first matching pattern counts. Exposure from 0 (nothing) to 10.
LIMITS = (
    ("jupyter-*.service", 5.0),
    ("jupyterhub.service", 3.0),
    # It runs the real passwd, which must become root.
    ("coursehub-passwd@*.service", 5.0),
    # It runs apt, as unattended-upgrades does.
    ("coursehub-restic.service", 9.0),
    # It writes files of the whole system back, as Salt does, and runs only after a power cut in an upgrade.
    ("coursehub-upgrade-mend.service", 9.0),
    ("jupyterhub-*.service", 2.5),
    ("coursehub-*.service", 2.5),
    ("nginx.service", 2.5),
    ("*", 9.0),
)
_LINE = re.compile(r"Overall exposure level for (\S+): ([\d.]+)")
#: A shell script for :func:`parse`.
# systemd's own table contains running services; units that our timers and sockets start are added.
ASK = r"""
units=$({ systemd-analyze security --no-pager | awk '$1 ~ /\.service$/ {print $1}'
    cd /etc/systemd/system && ls -d coursehub-*.service 2>/dev/null | sed 's/@\.service$/@audit.service/'; } | sort -u)
for unit in $units; do
    systemd-analyze security --no-pager "$unit" 2>/dev/null | tail -n 1
done
"""


@contextmanager
def somebodys_server(subject: Subject) -> Iterator[None]:
    """Run a server of the check account for the duration of the block, so that there is a student's unit to measure."""
    try:
        with HubClient(subject.hostname, subject.target.username, subject.target.ca_bundle) as client:
            client.sign_in(subject.target.password)
            client.start_server()
            try:
                yield
            finally:
                client.stop_server()
    except HubFailure as failure:
        raise ScanFailed(f"no student's server to measure: {failure}") from failure


def measure(subject: Subject) -> list[Measure]:
    """Every service of the server, including a student's."""
    with somebodys_server(subject):
        return [parse(subject.run(ASK, seconds=300))]


def parse(said: str) -> Measure:
    """Services above their limit. Raises ScanFailed if no student's was among them."""
    levels = {unit: float(level) for unit, level in _LINE.findall(said)}
    if not any(fnmatch(unit, LIMITS[0][0]) for unit in levels):
        raise ScanFailed("systemd-analyze did not see a student's server; its unit has another name than jupyter-*")
    findings = []
    for unit, level in sorted(levels.items()):
        limit = next(limit for pattern, limit in LIMITS if fnmatch(unit, pattern))
        if level > limit:
            findings.append(Finding(unit, f"{level} of at most {limit}"))
    return Measure("units", "above their goal", tuple(findings))
