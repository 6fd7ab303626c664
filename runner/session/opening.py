"""How a verb starts: it reads the course and connects to its cloud, or only looks whether there is one."""

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
    """Read and validate the course, then connect to its cloud (the local cloud is started)."""
    leaks.refuse(project)
    course = birthplace.load(project, course_id)
    return Session(project, course_id, course, kind_of(course).connect(project.state, report))


def reach(project: Project, course_id: str, report: Callable[[str], None]) -> Session:
    """Like ``connect``, for verbs that need a server: no local cloud is started for a course without a server."""
    if nothing_here(project, course_id, birthplace.load(project, course_id)):
        raise no_server(course_id)
    return connect(project, course_id, report)


def nothing_here(project: Project, course_id: str, course: Course) -> bool:
    """Whether the local cloud would be started only to find that it has no such server."""
    seen = kind_of(course).seen(project.state, course_id)
    return seen is not None and not seen.answers and seen.state == "none"


def visit(project: Project, course_id: str, report: Callable[[str], None]) -> Session:
    """Like ``reach``, for verbs that change nothing: no machine is made or booted.

    If the local cloud's process died while the course's machine runs, it is started again, because the verbs ask it for
    the machine. Raises CoursehubError if there is no such machine.
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
