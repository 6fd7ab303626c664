"""How a verb begins: the course is read, and its cloud is reached, or only looked for."""

from __future__ import annotations

from collections.abc import Callable

from runner.course import Course
from runner.project import Project
from runner.providers import kind_of
from runner.secrets import leaks
from runner.servers import birthplace
from runner.session.failures import no_server, not_running
from runner.session.session import Session


def connect(project: Project, course_id: str, report: Callable[[str], None]) -> Session:
    """Read and validate the course, then reach its cloud (the local one is started)."""
    leaks.refuse(project)
    course = birthplace.load(project, course_id)
    return Session(project, course_id, course, kind_of(course).connect(project.state, report))


def reach(project: Project, course_id: str, report: Callable[[str], None]) -> Session:
    """The same for verbs that need a server: no local cloud is started for a course that has none."""
    if nothing_here(project, course_id, birthplace.load(project, course_id)):
        raise no_server(course_id)
    return connect(project, course_id, report)


def nothing_here(project: Project, course_id: str, course: Course) -> bool:
    """Whether the provider would be started only to be asked for what is not there."""
    seen = kind_of(course).seen(project.state, course_id)
    return seen is not None and not seen.answers and seen.state == "none"


def visit(project: Project, course_id: str, report: Callable[[str], None]) -> Session:
    """The same for verbs that change nothing: no machine is made or booted by it.

    A local cloud that died while the course's machine lives is started again, as the verbs ask it for the machine.
    Raises CoursehubError when there is no such machine.
    """
    leaks.refuse(project)
    course = birthplace.load(project, course_id)
    kind = kind_of(course)
    seen = kind.seen(project.state, course_id)
    if seen and not seen.answers:
        if seen.state == "none":
            raise no_server(course_id)
        if seen.state == "off":
            raise not_running(course_id, seen.id, "off")
    return Session(project, course_id, course, kind.visit(project.state, report))
