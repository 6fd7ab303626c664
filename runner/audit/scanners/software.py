"""Compares the table of safe versions with the locks, this computer and the server."""

from __future__ import annotations

import json

from runner.audit import versions
from runner.audit.goals import Finding, Measure
from runner.audit.subject import Subject
from runner.packages.minimums import load

#: The server's own report on which running programs an upgrade has replaced (formulas/base/files/coursehub_renew.py).
_REPLACED = r"""
python3 -c '
import json, runpy
stale = runpy.run_path("/usr/local/sbin/coursehub-renew")["stale"]()
print(json.dumps({unit: sorted(files) for unit, files in stale.items()}))'
"""


def measure(subject: Subject) -> list[Measure]:
    """Four figures; packages that wait for an index are reported but not counted."""
    root = subject.project.root
    rows = load(root)
    said = subject.run(versions.server_script(rows))
    server = versions.on_server(rows, said)
    if release := versions.unknown_release(rows, said):
        finding = Finding(release, "the table has no line for this release's packages")
        on_server = (*_findings(server), finding)
    else:
        on_server = _findings(server)
    stale = json.loads(subject.run(_REPLACED))
    return [
        Measure("versions", "below the minimum in locks", _findings(versions.in_locks(root))),
        Measure("versions", "below the minimum on this computer", _findings(versions.on_controller(root))),
        Measure("versions", "below the minimum on the server", on_server),
        Measure(
            "versions",
            "services with replaced files in memory",
            tuple(Finding(unit, ", ".join(files)) for unit, files in sorted(stale.items())),
        ),
    ]


def waiting(subject: Subject) -> list[str]:
    """One line for each package that is below the table and cannot be fixed yet."""
    return sorted({str(one) for one in versions.in_locks(subject.project.root) if one.waits})


def _findings(below: list[versions.Below]) -> tuple[Finding, ...]:
    return tuple(Finding(one.name, str(one)) for one in below if not one.waits)
