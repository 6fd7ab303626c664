"""``check`` and ``status``: how things stand."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from runner import checks, local
from runner import course as courses
from runner.cloud import Cloud, digitalocean_cloud
from runner.console import Steps
from runner.project import Project
from runner.verbs.session import connect


def check(project: Project, course_id: str, steps: Steps) -> dict[str, Any]:
    """Look at the hub from outside as a student would."""
    with steps.step("checks", f"look at {course_id} from outside") as progress:
        session = connect(project, course_id, progress)
        looked = checks.look(session.target(session.server()), progress)
    return {"course": course_id, "ok": all(one.ok for one in looked), "checks": [asdict(one) for one in looked]}


def status(project: Project, course_ids: list[str]) -> dict[str, Any]:
    """Each course's server: none, new, active or off. Starts nothing."""
    return {"courses": [_status(project, course_id) for course_id in course_ids]}


def _status(project: Project, course_id: str) -> dict[str, Any]:
    course = courses.load(project, course_id)
    cloud = _cloud_if_there(project, course)
    found = cloud.find(course_id) if cloud else []
    server = found[0] if found else None
    return {
        "course": course_id,
        "cloud": course.cloud,
        "state": server.state if server else "none",
        "ip": server.ip if server else None,
        "url": f"https://{course.domain}/",
        "size": server.size if server else course.size,
    }


def _cloud_if_there(project: Project, course: courses.Course) -> Cloud | None:
    if course.cloud == "digitalocean":
        return digitalocean_cloud()
    if not local.status(project.state).running:
        return None
    here = local.ensure_running(project.state, lambda _: None)
    return Cloud("the local cloud", here.endpoint, here.token)
