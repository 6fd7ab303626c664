"""``audit``: third-party scanners and our own attacks, on a real hub."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from runner.audit import run
from runner.audit.goals import Figure, Finding, Measure, judge
from runner.audit.scanners import software
from runner.audit.subject import Subject
from runner.audit.tools import Tools
from runner.audit.waivers import Waivers
from runner.console import Steps
from runner.errors import USAGE, CoursehubError
from runner.project import Project
from runner.session import Session, visit
from runner.verbs import converge

#: Findings per figure in the text output; the document has them all.
SHOWN = 12
_ABOUT = ". /etc/os-release; echo \"$ID-$VERSION_ID\"; ip -6 -o addr show scope global | awk '{print $4}'"


def audit(project: Project, course_id: str, steps: Steps, *, only: Sequence[str], quick: bool) -> dict[str, Any]:
    """Measure the hub and compare each figure with its goal.

    ``only`` names scanners; ``quick`` runs the fast ones. Without either, all run, followed by an ``apply`` that must
    change nothing. Raises CoursehubError with the document if a figure misses its goal.
    """
    for name in only:
        if name not in run.NAMES:
            raise CoursehubError(f"no scanner {name!r}; there are: {', '.join(run.NAMES)}", exit_code=USAGE)
    chosen = [one.name for one in run.SCANNERS if (one.name in only if only else one.quick or not quick)]
    with steps.step("audit", f"audit of {course_id}") as progress:
        session = visit(project, course_id, progress)
        subject = _subject(session, Tools.ensure(project.root, progress))
        waivers = Waivers.load(container=subject.container)
        outcome = run.run(subject, waivers, chosen, progress)
        figures = list(outcome.figures)
    if not only and not quick:
        figures += judge([_apply(project, course_id, steps)], waivers)
    document = {
        "course": course_id,
        "release": subject.release,
        "ok": outcome.ok and all(figure.ok for figure in figures),
        "figures": [_document(figure) for figure in figures],
        "silent": outcome.silent,
        "waiting": software.waiting(subject) if "versions" in chosen else [],
        "idle_waivers": list(outcome.idle_waivers),
        "seconds": outcome.seconds,
    }
    if not document["ok"]:
        raise CoursehubError(_worst(course_id, figures, outcome), document=document)
    return document


def _subject(session: Session, tools: Tools) -> Subject:
    server = session.server()
    about = session.access.run(str(server.ip), _ABOUT).split()
    return Subject(
        project=session.project,
        course_id=session.course_id,
        access=session.access,
        target=session.target(server),
        tools=tools,
        container=session.cloud.containers,
        release=about[0],
        ipv6=tuple(address.partition("/")[0] for address in about[1:] if not re.match("f[cd]", address)),
    )


def _apply(project: Project, course_id: str, steps: Steps) -> Measure:
    outcome = converge.apply(project, [course_id], steps)["courses"][course_id]
    changes = (Finding(f"{one['state']} {one['name']}", one["comment"]) for one in outcome["changes"])
    return Measure("apply", "changes after the audit", tuple(changes))


def _document(figure: Figure) -> dict[str, Any]:
    found = asdict(figure)
    found["findings"] = [{"id": one.id, "detail": one.detail} for one in figure.findings]
    return found


def _worst(course_id: str, figures: list[Figure], outcome: run.Outcome) -> str:
    bad = [f"{one.scanner} {one.name} is {one.value}, wanted {one.goal}" for one in figures if not one.ok]
    bad += [f"{name} gave no figure: {why}" for name, why in outcome.silent.items()]
    more = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
    return f"{course_id}: {bad[0]}{more}; mend it, or waive it with its reason in runner/audit/waivers.yaml"


def lines(document: dict[str, Any]) -> list[str]:
    """The document as text: each figure with its goal, and the findings below it."""
    found = []
    for one in document.get("figures", ()):
        verdict = "ok  " if one["ok"] else "FAIL"
        raw = f", {one['raw']} without waivers" if one["raw"] is not None else ""
        found.append(f"  {verdict} {one['scanner']} {one['name']}: {one['value']} (goal {one['goal']}{raw})")
        if not one["ok"]:
            found += [f"         {finding['id']}: {finding['detail']}" for finding in one["findings"][:SHOWN]]
            if len(one["findings"]) > SHOWN:
                found.append(f"         and {len(one['findings']) - SHOWN} more, see --json")
    found += [f"  FAIL {name}: {why}" for name, why in document.get("silent", {}).items()]
    found += [f"  wait {line}" for line in document.get("waiting", ())]
    idle = document.get("idle_waivers", ())
    return found + [f"  note the waiver {name} matches nothing any more; take it away" for name in idle]
