"""``lock``: the course's packages, resolved once and kept in git."""

from __future__ import annotations

from typing import Any

from runner import course as courses
from runner import lock as locks
from runner.console import Steps
from runner.project import Project


def lock(project: Project, course_id: str, steps: Steps, *, upgrade: bool) -> dict[str, Any]:
    """Resolve the course's packages anew; ``upgrade`` takes newer versions where the old ones would still fit."""
    course = courses.load(project, course_id)
    line = courses.source(project, course_id).line(("course", "packages"))
    with steps.step("lock", f"resolving the packages of {course_id}"):
        path = locks.make_lock(course_id, course.locked_packages, project.root, line=line, upgrade=upgrade)
    packages = sum("==" in line and not line.startswith((" ", "#")) for line in path.read_text("utf-8").splitlines())
    return {"course": course_id, "lock": project.shown(path), "packages": packages}
