"""``rehearse``: a class of temporary people signs in at the same time, to see whether the server is big enough."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from runner.console import Steps
from runner.errors import USAGE, CoursehubError
from runner.project import Project
from runner.rehearsal import accounts, advice, crowd
from runner.rehearsal.student import Place
from runner.servers.claim import claim, claim_in_cloud
from runner.session import Session, visit


@dataclass(frozen=True)
class Way:
    """How temporary students come: how many, over how many seconds, and whether their servers run already."""

    students: int
    over: float = 0.0
    started: bool = False


#: Seconds that making or removing an account may take.
_ACCOUNT_SECONDS = 5


def rehearse(project: Project, course_id: str, steps: Steps, way: Way, *, disturb: bool = False) -> dict[str, Any]:
    """Let temporary students sign in. Returns figures, and advice on the server's size.

    Nothing of them stays on the server. Raises CoursehubError if people are working and ``disturb`` is not set, or if
    students do not sign in with a password of the hub.
    """
    with claim(project, course_id, "rehearse"):
        with steps.step("look", f"look at the server of {course_id}") as progress:
            session = visit(project, course_id, progress)
            ip = str(session.server().ip)
            _may(session, course_id, ip, disturb)
        with claim_in_cloud(session.cloud, project, course_id, "rehearse"):
            return _perform(session, ip, steps, way)


def _may(session: Session, course_id: str, ip: str, disturb: bool) -> None:
    kind = session.course.signin.kind
    if kind != "password":
        raise CoursehubError(
            f"{session.at('signin', 'kind')}: students of {course_id} sign in by {kind}, where temporary people have "
            "no account; rehearse a copy of the course without signin, on a server of the same size (docs/sign-in.md)",
            exit_code=USAGE,
        )
    at_work = int(session.access.run(ip, accounts.AT_WORK).strip() or 0)
    if at_work and not disturb:
        people = "one person is" if at_work == 1 else f"{at_work} people are"
        raise CoursehubError(
            f"{course_id}: {people} at work on this server, and a rehearsal would slow them down; say --yes, or try "
            "again when nobody works"
        )


def _perform(session: Session, ip: str, steps: Steps, way: Way) -> dict[str, Any]:
    people = accounts.people(way.students)
    wait = 60 + _ACCOUNT_SECONDS * way.students
    try:
        with steps.step("accounts", f"make {way.students} temporary accounts"):
            session.access.run(ip, accounts.begin(people), seconds=wait)
        place = Place(session.course.domain, ip, crowd.trust(session.ca_bundle), session.course.subdomains)
        if way.started:
            with steps.step("early", f"start {way.students} servers") as progress:
                crowd.start_early(place, people, progress)
        with steps.step("class", f"{way.students} students sign in") as progress:
            done = crowd.perform(place, people, way.over, lambda script: session.access.run(ip, script), progress)
    finally:
        with steps.step("away", "remove the accounts"):
            session.access.run(ip, accounts.end(), seconds=wait)
    course = session.course
    return {
        "course": session.course_id,
        "size": course.size,
        "started": way.started,
        **done,
        "advice": advice.advise(done, session.cloud.sizes(), course.size, course.region),
    }
