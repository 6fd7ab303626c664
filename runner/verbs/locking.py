"""``lock``: package versions, resolved once and stored in git."""

from __future__ import annotations

from typing import Any

from runner import course as courses
from runner.console import Steps
from runner.packages import lock as locks
from runner.project import Project
from runner.verbs import relock


def lock(project: Project, course_id: str, steps: Steps, *, upgrade: bool) -> dict[str, Any]:
    """Resolve the course's packages again; ``upgrade`` takes newer versions even if the old ones still fit."""
    course = courses.load(project, course_id)
    line = courses.source(project, course_id).line(("course", "packages"))
    with steps.step("lock", f"resolving the packages of {course_id}"):
        path = locks.make_lock(course_id, course.locked_packages, project.root, line=line, upgrade=upgrade)
    packages = sum("==" in line and not line.startswith((" ", "#")) for line in path.read_text("utf-8").splitlines())
    return {"course": course_id, "lock": project.shown(path), "packages": packages}


def lock_all(project: Project, steps: Steps, *, upgrade: bool) -> dict[str, Any]:
    """Resolve every lock of the repository again, including the courses' locks.

    Versions are kept if they fit and are not below requirements/minimums.yaml; ``upgrade`` takes the newest that fit.
    """
    wanted = []
    for course_id in courses.course_ids(project):
        if locks.lock_path(course_id, project.root).exists():
            line = courses.source(project, course_id).line(("course", "packages"))
            wanted.append((course_id, courses.load(project, course_id).locked_packages, line))
    with steps.step("lock", "resolving every lock") as progress:
        changed = relock.relock(project.root, wanted, progress, upgrade=upgrade)
    return {"changed": changed}
