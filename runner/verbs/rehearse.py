"""``rehearse``: a class of throw-away people signs in at once, and what that says about the server."""

from __future__ import annotations

from typing import Any

from runner.console import Steps
from runner.errors import USAGE, CoursehubError
from runner.project import Project
from runner.rehearsal import accounts, advice, crowd
from runner.rehearsal.student import Place
from runner.servers.claim import claim, claim_in_cloud
from runner.session import Session, visit

#: Seconds that making, or taking away, an account may take.
_ACCOUNT_SECONDS = 5


def rehearse(
    project: Project, course_id: str, steps: Steps, *, students: int, over: float, disturb: bool = False
) -> dict[str, Any]:
    """Let so many throw-away students in within ``over`` seconds; the figures, and what they say of the server's size.

    Nothing of them stays on the server. Raises CoursehubError where people are at work and ``disturb`` is not given, or
    where students sign in elsewhere than at the hub.
    """
    with claim(project, course_id, "rehearse"):
        with steps.step("look", f"look at the server of {course_id}") as progress:
            session = visit(project, course_id, progress)
            ip = str(session.server().ip)
            _may(session, course_id, ip, disturb)
        with claim_in_cloud(session.cloud, project, course_id, "rehearse"):
            return _perform(session, ip, steps, students, over)


def _may(session: Session, course_id: str, ip: str, disturb: bool) -> None:
    kind = session.course.signin.kind
    if kind != "password":
        raise CoursehubError(
            f"{session.at('signin', 'kind')}: students of {course_id} sign in by {kind}, where throw-away people have "
            "no account; rehearse on a copy of the course without signin, whose server has the same size",
            exit_code=USAGE,
        )
    at_work = int(session.access.run(ip, accounts.AT_WORK).strip() or 0)
    if at_work and not disturb:
        people = "one person is" if at_work == 1 else f"{at_work} people are"
        raise CoursehubError(
            f"{course_id}: {people} at work on this server, and a rehearsal would slow them down; say --yes, or try "
            "again when nobody works"
        )


def _perform(session: Session, ip: str, steps: Steps, students: int, over: float) -> dict[str, Any]:
    people = accounts.people(students)
    wait = 60 + _ACCOUNT_SECONDS * students
    try:
        with steps.step("accounts", f"make {students} throw-away accounts"):
            session.access.run(ip, accounts.begin(people), seconds=wait)
        with steps.step("class", f"{students} students sign in") as progress:
            place = Place(session.course.domain, ip, crowd.trust(session.ca_bundle), session.course.subdomains)
            done = crowd.perform(place, people, over, lambda script: session.access.run(ip, script), progress)
    finally:
        with steps.step("away", "take them away"):
            session.access.run(ip, accounts.end(), seconds=wait)
    course = session.course
    return {
        "course": session.course_id,
        "size": course.size,
        **done,
        "advice": advice.advise(done, session.cloud.sizes(), course.size, course.region),
    }
