"""``apply`` and ``plan``: run the highstate, or show what it would change."""

from __future__ import annotations

import contextlib
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any

from runner import saltssh
from runner.board import Board
from runner.cloud import Server
from runner.console import Steps
from runner.errors import CoursehubError
from runner.project import Project
from runner.saltssh.results import Report
from runner.servers import birthplace
from runner.servers.claim import claim, claim_in_cloud
from runner.session import Session, carrying, connect, nothing_here, reach, visit
from runner.session.failures import NoServer, all_of
from runner.session.order import what_up_makes, what_up_makes_here
from runner.session.preparing import prepare
from runner.setup import folders
from runner.verbs import changes
from runner.verbs.blame import blame

#: Number of simultaneous highstates. One without a change mostly waits for its server.
AT_ONCE = 10


def converge(session: Session, server: Server, steps: Steps, *, test: bool = False) -> Report:
    """Run the highstate with progress. Raises CoursehubError that names the failed states."""
    title = f"{'plan' if test else 'highstate'} of {session.course_id}"
    with steps.step("highstate", title) as progress:
        if not test:
            folders.send(session.course, session.access, str(server.ip))
        report = saltssh.highstate(
            session.project,
            session.course_id,
            ip=str(server.ip),
            test=test,
            watch=lambda count, total, name: progress(_now(count, total, name)),
        )
        for warning in report.warnings:
            steps.say(f"  note: {warning}")
        if report.failed and not test:
            raise StatesFailed(session.course_id, report, blame(session, report))
    return report


def _now(count: int, total: int, name: str) -> str:
    return f"state {count} of {total or '?'}: {name.splitlines()[0][:60]}" if count else name


class StatesFailed(CoursehubError):
    """States failed on the server, see ``report``; ``blamed`` is the line of the course file to correct."""

    def __init__(self, course_id: str, report: Report, blamed: str | None = None, *, verb: str = "apply") -> None:
        # Report a failure with a known external cause first; it usually explains the others. On a full disk Salt loses
        # a state's own message.
        first = next((state for state in report.failed if state.cause), report.failed[0])
        more = f" and {len(report.failed) - 1} more" if len(report.failed) > 1 else ""
        if blamed:
            super().__init__(f"{blamed}; what already works keeps working; then run 'coursehub {verb} {course_id}'")
            self.report = report
            return
        if known := first.cause:
            what, remedy = f"{known.what} (at {first.name}{more})", known.remedy.replace("COURSE", course_id)
        else:
            what, remedy = f"state {first.name} ({first.sls}){more} failed: {first.reason[:300]}", "correct it"
        super().__init__(
            f"{course_id}: {what}; what already works keeps working; {remedy}"
            + ("" if first.cause and first.cause.ends_it else f", then run 'coursehub {verb} {course_id}'")
        )
        self.report = report


def summary(report: Report, changed: str = "changed") -> dict[str, Any]:
    """A report for the JSON document."""
    return {"total": len(report.states), changed: len(report.changed), "failed": report.failed_count}


def _changes(report: Report) -> list[dict[str, Any]]:
    return [
        {"state": state.state, "name": state.name, "comment": state.comment, "diff": changes.diff(state.changes)}
        for state in report.changed
    ]


def apply(
    project: Project, course_ids: list[str], steps: Steps, *, test: bool = False, every: bool = False
) -> dict[str, Any]:
    """Bring the courses' servers to the state in their pillar; with ``test`` only say what would change.

    With ``every``, these are all courses, and those without a server are skipped with a note. All courses are tried;
    the first error is raised at the end, with the whole document.
    """
    course_ids = list(dict.fromkeys(course_ids))
    outcomes: dict[str, Any] = {}
    failures: list[CoursehubError] = []

    def converge_one(course_id: str) -> None:
        began = time.monotonic()
        notes: list[str] = []
        facts: list[changes.Fact] = []
        try:
            report = _apply_one(project, course_id, board.row(course_id), test=test, notes=notes, facts=facts)
        except StatesFailed as failure:
            failures.append(failure)
            report = failure.report
            outcomes[course_id] = {"error": str(failure)}
        except NoServer as error:
            made = None
            try:
                made = would_make(project, course_id) if test else None
            except (CoursehubError, OSError) as wrong:
                failures.append(wrong if isinstance(wrong, CoursehubError) else CoursehubError(f"{course_id}: {wrong}"))
                outcomes[course_id] = {"error": str(failures[-1]), "notes": notes}
                return
            if made:
                outcomes[course_id] = {"would_make": made, "notes": notes}
                return
            if not every:
                failures.append(error)
            outcomes[course_id] = {"skipped" if every else "error": str(error), "notes": notes}
            return
        except (CoursehubError, OSError) as error:
            failures.append(error if isinstance(error, CoursehubError) else CoursehubError(f"{course_id}: {error}"))
            outcomes[course_id] = {"error": str(failures[-1]), "notes": notes}
            return
        outcomes[course_id] = {
            **outcomes.get(course_id, {}),
            **summary(report, "would_change" if test else "changed"),
            "seconds": round(time.monotonic() - began, 1),
            "facts": [asdict(fact) for fact in facts],
            "changes": _changes(report),
            "notes": notes,
        }

    def converge_and_show(course_id: str) -> None:
        converge_one(course_id)
        board.end(course_id, _word(outcomes[course_id], test=test))

    with Board(steps, course_ids) as board, ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        list(pool.map(converge_and_show, course_ids))
    document = {"courses": {course_id: outcomes[course_id] for course_id in course_ids}}
    if failures:
        raise all_of(failures, document)
    return document


def _word(outcome: dict[str, Any], *, test: bool) -> str:
    """How a course ended, for its row of the live table; the lines below the table say more."""
    if "skipped" in outcome:
        return "skipped: it has no server"
    if "error" in outcome:
        return "failed"
    if "would_make" in outcome:
        return "up would make its server"
    count = outcome["would_change" if test else "changed"]
    if not count:
        return "nothing to change"
    return f"{count} states {'would change' if test else 'changed'}"


def would_make(project: Project, course_id: str) -> str:
    """What ``up`` would make and what it costs. Does not start the local cloud."""
    course = birthplace.load(project, course_id)
    if nothing_here(project, course_id, course):
        return what_up_makes_here(course)
    return what_up_makes(connect(project, course_id, lambda _line: None))


def _apply_one(
    project: Project, course_id: str, steps: Steps, *, test: bool, notes: list[str], facts: list[changes.Fact]
) -> Report:
    with claim(project, course_id, "plan" if test else "apply"), contextlib.ExitStack() as held:
        session = (visit if test else reach)(project, course_id, steps.say)
        if not test:
            held.enter_context(claim_in_cloud(session.cloud, project, course_id, "apply"))
        server = session.server(None if test else steps.hear())
        prepare(session, server, notes, test=test)
        facts += changes.since(project, course_id, session.course)
        report = converge(session, server, steps, test=test)
        if not test:
            changes.keep(project, course_id, session.course)
            carrying.fetch_if_possible(session, server, steps.say)
        return report
