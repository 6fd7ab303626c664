"""How a verb begins: the course is read, and its cloud is reached, or only looked for."""

from __future__ import annotations

from collections.abc import Callable

from runner import local
from runner.cloud import Cloud, digitalocean_cloud, tag_of
from runner.course import Course
from runner.project import Project
from runner.secrets import leaks
from runner.servers import birthplace
from runner.session.failures import no_server, not_running
from runner.session.session import Session


def connect(project: Project, course_id: str, report: Callable[[str], None]) -> Session:
    """Read and validate the course, then reach its cloud (the local one is started)."""
    leaks.refuse(project)
    course = birthplace.load(project, course_id)
    if course.cloud == "local":
        return _locally(project, course_id, course, local.ensure_running(project.state, report))
    return Session(project, course_id, course, digitalocean_cloud(), None)


def reach(project: Project, course_id: str, report: Callable[[str], None]) -> Session:
    """The same for verbs that need a server: no local cloud is started for a course that has none."""
    if nothing_here(project, course_id, birthplace.load(project, course_id)):
        raise no_server(course_id)
    return connect(project, course_id, report)


def nothing_here(project: Project, course_id: str, course: Course) -> bool:
    """Whether the local cloud would be started only to be asked for what is not there."""
    return course.cloud == "local" and not local.find(project.state) and not local_machine(project, course_id)


def visit(project: Project, course_id: str, report: Callable[[str], None]) -> Session:
    """The same for verbs that change nothing: no machine is made or booted by it.

    A local cloud that died while the course's machine lives is started again, as the verbs ask it for the machine.
    Raises CoursehubError when there is no such machine.
    """
    leaks.refuse(project)
    course = birthplace.load(project, course_id)
    if course.cloud == "digitalocean":
        return Session(project, course_id, course, digitalocean_cloud(), None)
    here = local.find(project.state)
    if here is None:
        machine = local_machine(project, course_id)
        if machine is None:
            raise no_server(course_id)
        if not machine.running:
            raise not_running(course_id, machine.id, "off")
        here = local.ensure_running(project.state, report)
    return _locally(project, course_id, course, here)


def _locally(project: Project, course_id: str, course: Course, here: local.LocalCloud) -> Session:
    return Session(project, course_id, course, Cloud("the local cloud", here.endpoint, here.token), here)


def local_machine(project: Project, course_id: str) -> local.Machine | None:
    """The course's machine of the local cloud, whether that runs or not."""
    machines = local.status(project.state).machines
    return next((machine for machine in machines if tag_of(course_id) in machine.tags), None)
