"""``rollover``: the next term's course file, after the class's work of this term is archived."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runner import course as courses
from runner.console import Progress, Steps
from runner.errors import CoursehubError
from runner.people import people_of
from runner.project import Project
from runner.secrets import Secrets
from runner.servers import birthplace, droplets
from runner.servers.claim import claim
from runner.session import nothing_here, visit
from runner.verbs import archive, keeping
from runner.verbs import courses as course_files


def rollover(
    project: Project, old: str, new: str, answers: Mapping[str, Any], steps: Steps, *, discard_work: bool
) -> dict[str, Any]:
    """Write the course file ``new`` from ``old``, without the class, dates and announcements, and copy the secrets.

    ``answers`` are choices that differ. The address stays, so ``old`` goes down before ``new`` comes up. First the work
    on the old server is archived, if no archive is current. With ``discard_work`` it is not. Nothing is deleted.
    """
    course = courses.load(project, old)
    # The professors of an encrypted class list are not in the file that is copied.
    professor = people_of(project, old, course).professors[0]
    known: dict[str, str | None] = {"domain": course.domain}
    if not course.people:
        known |= {"professor": professor.name, "account": professor.account, "email": professor.email}
    given = {**known, **{key: value for key, value in answers.items() if value is not None}}
    source, document = course_files.draft(project, new, given, old, None)
    saved = None
    if not discard_work:
        with claim(project, old, "rollover"), steps.step("archive", f"archive of {old}") as progress:
            saved = _archive(project, old, progress)
    taken = Secrets(project, new).take(Secrets(project, old))
    # The last step: after a kill the same command goes on.
    course_files.write(source)
    return {**document, "old": old, "saved": saved, "secrets": taken, "next": _next(old, document)}


def _archive(project: Project, old: str, progress: Progress) -> str | None:
    if nothing_here(project, old, birthplace.load(project, old)):
        return None
    session = visit(project, old, progress)
    if not droplets.found(session.cloud, session.access, progress):
        return None
    try:
        server = session.server()
        known = keeping.archived(session, server)
        if known or not keeping.has_work(session, server):
            return known
        place, _ = archive.make(session, server, progress)
    except CoursehubError as error:
        raise CoursehubError(
            f"{error}; then run this again, or leave the class's work where it is: --discard-student-work"
        ) from None
    return f"everything of {old} is archived in {project.shown(place)}"


def _next(old: str, document: Mapping[str, Any]) -> list[str]:
    return [f"./coursehub down {old}", *document["next"], f"./coursehub handback {old} --on {document['course']}"]


def lines(document: Mapping[str, Any]) -> list[str]:
    """What was made, for a person."""
    secrets = document["secrets"]
    return [
        *([document["saved"]] if document["saved"] else []),
        *([f"copied secrets: {', '.join(secrets)}; commit them"] if secrets else []),
    ]
