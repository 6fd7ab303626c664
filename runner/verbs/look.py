"""``check`` and ``status``: the condition of hubs and servers."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from typing import Any

from runner import course as courses
from runner.audit import versions
from runner.cloud.costs import cost_of
from runner.console import Steps
from runner.drill import copy, record
from runner.errors import CoursehubError
from runner.hub import checks, inside
from runner.project import Project
from runner.providers import kind_of
from runner.servers import birthplace
from runner.servers.access import Access
from runner.servers.claim import holder
from runner.session import Session, visit
from runner.session.failures import all_of, not_right
from runner.setup import backup

#: Number of courses that are checked at the same time.
AT_ONCE = 10


def check(project: Project, course_id: str, steps: Steps) -> dict[str, Any]:
    """Check the hub from outside as a student would. Raises CoursehubError with the document if a check fails."""
    with steps.step("checks", f"look at {course_id} from outside") as progress:
        try:
            session = visit(project, course_id, progress)
            server = session.server()
            looked = checks.look(session.target(server), progress)
            looked += _inside(session, str(server.ip), progress)
            looked += filter(None, [_last_drill(project, course_id)])
        except CoursehubError as failure:
            raise _not_finished(project, course_id) or failure from None
    bad = [one for one in looked if not one.ok]
    document = {"course": course_id, "ok": not bad, "checks": [asdict(one) for one in looked]}
    if bad:
        cause = next((one for one in bad if one.name in inside.CAUSES), bad[0])
        raise _not_finished(project, course_id, document) or not_right(course_id, cause, document)
    return document


def _not_finished(project: Project, course_id: str, document: dict[str, Any] | None = None) -> CoursehubError | None:
    """An explanation for failed checks while another verb works on the course."""
    busy = holder(project, course_id)
    if not busy:
        return None
    return CoursehubError(f"{course_id}: {busy}; look again when that has ended", document=document)


def _inside(session: Session, ip: str, progress: Callable[[str], None]) -> list[checks.Check]:
    """Checks that need the server itself."""

    def run(script: str) -> str:
        return session.access.run(ip, script, seconds=120)

    progress("inside")
    try:
        found = [_of(session.course_id, one) for one in inside.look(run, ask=True)]
    except CoursehubError as failure:
        return [checks.Check("inside", False, str(failure))]
    if session.course.signin.needs_secret:
        progress("provider secret")
        found.append(inside.look_at_provider(run, session.course_id, session.at("signin", "kind")))
    return [*found, _nginx(session, ip)]


def _last_drill(project: Project, course_id: str) -> checks.Check | None:
    """How the course's last drill ended; None if there was none."""
    found = record.read(project, course_id)
    if found is None:
        return None
    running = holder(project, copy.id_of(course_id)) is not None
    return checks.Check("drill", bool(found["ok"]) or running, record.line(course_id, found, running=running))


def _of(course_id: str, one: checks.Check) -> checks.Check:
    """The check with the course's name in the commands that it suggests."""
    return replace(one, detail=one.detail.replace("COURSE", course_id))


def _nginx(session: Session, ip: str) -> checks.Check:
    try:
        found = versions.look_at_nginx(session.project.root, lambda script: session.access.run(ip, script))
        return _of(session.course_id, found)
    except CoursehubError as failure:
        return checks.Check("nginx", False, str(failure))


def status(project: Project, course_ids: list[str]) -> dict[str, Any]:
    """Each course's server: none, new, active or off. Starts nothing."""

    def row(course_id: str) -> tuple[dict[str, Any], CoursehubError | None]:
        try:
            found = _status(project, course_id)
        except CoursehubError as error:
            unknown = dict.fromkeys(("cloud", "ip", "url", "size", "certificate_days"))
            return {"course": course_id, **unknown, "state": "unknown", "error": str(error)}, error
        return found, CoursehubError(found["error"]) if "error" in found else None

    with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        looked = list(pool.map(row, course_ids))
    failures = [error for _, error in looked if error]
    document = {"courses": [found for found, _ in looked]}
    if failures:
        raise all_of(list({str(failure): failure for failure in failures}.values()), document)
    return document


def _status(project: Project, course_id: str) -> dict[str, Any]:
    course = birthplace.load(project, course_id)
    state, ip, size, error = _found(project, course_id, course)
    cost = None
    kind = kind_of(course)
    if kind.costs and state != "none" and (priced := kind.visit(project.state, _silent).sizes().get(size)):
        cost = cost_of(priced, course.term).document()
    bundle = kind.ca_bundle(project.state)
    days = checks.days_left(course.domain, ip, bundle) if state == "active" and ip else None
    if error is None and days is not None and days < checks.CERTIFICATE_DAYS:
        error = (
            f"{course_id}: the certificate of {course.domain} "
            f"{f'ends in {days} days' if days >= 0 else 'has ended'} and ought to have been renewed; "
            f"'coursehub logs {course_id}' says why it was not, 'coursehub apply {course_id}' tries again"
        )
    backed_up = None
    if state == "active" and ip:
        sick, backed_up = _inside_briefly(project, course_id, ip)
        error = error or sick
    drilled = _last_drill(project, course_id)
    notes = backup.notes(
        course, course_id, courses.source(project, course_id).at("course", "domain"), kept=kind.keeps_backups
    )
    return {
        "course": course_id,
        "cloud": course.cloud,
        "state": state,
        "ip": ip,
        "url": f"https://{course.domain}/",
        "size": size,
        "certificate_days": days,
        **({"backup": backed_up} if backed_up else {}),
        **({"drill": drilled.detail} if drilled else {}),
        **({"notes": notes} if notes else {}),
        **({"cost": cost} if cost else {}),
        **({"error": error} if error else {}),
    }


def _inside_briefly(project: Project, course_id: str, ip: str) -> tuple[str | None, str | None]:
    """What is wrong on a server that runs, in a line, and how old its backup is.

    Nothing of both when another computer has its keys.
    """
    access = Access(project, course_id)
    if not access.known_hosts.exists() or access.has_first_host_key():
        return None, None
    try:
        looked = [_of(course_id, one) for one in inside.look(lambda script: access.run(ip, script))]
    except CoursehubError as failure:
        return str(failure), None
    bad = [one for one in looked if not one.ok]
    error = str(not_right(course_id, bad[0])) if bad else None
    return error, next((one.detail for one in looked if one.name == "backup"), None)


def _silent(_line: str) -> None:
    """Discards progress."""


def _found(project: Project, course_id: str, course: courses.Course) -> tuple[str, str | None, str, str | None]:
    """State, address and size of the course's server, and what is wrong with it."""
    kind = kind_of(course)
    seen = kind.seen(project.state, course_id)
    if seen and not seen.answers:
        return seen.state, seen.ip, seen.size or course.size, None
    cloud = kind.visit(project.state, _silent)
    access = Access(project, course_id)
    found = cloud.find(course_id, access.server())
    if not found:
        birthplace.need_account(cloud, access)
        return "none", None, course.size, None
    server = found[0]
    return server.state, server.ip, server.size, cloud.several(course_id, found) if len(found) > 1 else None
