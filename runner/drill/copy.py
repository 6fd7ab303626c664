"""The working copy of a drill: another course in a directory of its own, made from the real one.

Its keys, its server's record and its generated pillar are there too, so nothing of a drill is mixed with the course's
own. The copied course has an address that cannot exist (RFC 2606), so no certificate can be ordered for it and no DNS
record made; people sign in with passwords; it fetches no material and sends no alerts.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any
from zlib import crc32

import yaml

from runner import course as courses
from runner.course import Course
from runner.errors import USAGE, CoursehubError
from runner.files import write_private
from runner.people.passwords import Passwords
from runner.project import Project

#: What salt-ssh needs, beside the pillar.
_PARTS = ("salt", "formulas")
_LONGEST_ID = 31
#: Keys of the course file that a drill does without.
_WITHOUT = ("material", "timetable", "alert", "term")


def id_of(course_id: str) -> str:
    """The id of a course's drill, by which its server is found at the provider."""
    whole = f"drill-{course_id}"
    if len(whole) <= _LONGEST_ID:
        return whole
    return f"drill-{course_id[:16].rstrip('-')}-{crc32(course_id.encode()):08x}"


def place(project: Project, course_id: str) -> Path:
    """The root of the working copy."""
    return project.state / "drills" / course_id


def copy_of(project: Project, course_id: str) -> Project:
    """The working copy as it is now, perhaps left by a drill that was killed."""
    root = place(project, course_id)
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Project(root)


def load(project: Project, course_id: str) -> tuple[Project, Course]:
    """Make the working copy anew, and return it with the drill's course. What its state directory has stays.

    Raises CoursehubError if the course file is wrong, or if a course has the drill's name.
    """
    drill_id = id_of(course_id)
    if project.course_file(drill_id).exists():
        raise CoursehubError(
            f"{project.shown(project.course_file(drill_id))}: a drill of {course_id} needs this name; rename that "
            "course's file",
            exit_code=USAGE,
        )
    course = courses.load(project, course_id)
    made = copy_of(project, course_id)
    for part in _PARTS:
        _replace(project.root / part, made.root / part)
    _replace(project.root / "pillar", made.root / "pillar", without=("courses", "secrets", "data", "locks"))
    shutil.copy(project.root / "Saltfile", made.root)
    locks = Path("pillar/files/locks")
    for old, new in (
        (project.secrets / "keys", made.secrets / "keys"),
        (project.secrets_file(course_id), made.secrets_file(drill_id)),
        (project.people_file(course_id), made.people_file(drill_id)),
        (project.root / locks / f"{course_id}.txt", made.root / locks / f"{drill_id}.txt"),
        (Passwords(project, course_id).path, Passwords(made, drill_id).path),
    ):
        _copy(old, new)
    text = yaml.safe_dump({"course": _changed(courses.source(project, course_id).data["course"], drill_id, course)})
    made.courses.mkdir(parents=True, exist_ok=True)
    write_private(made.course_file(drill_id), text)
    return made, courses.load(made, drill_id)


def remove(project: Project, course_id: str) -> None:
    """Delete the working copy with its keys. Only after its server was deleted."""
    shutil.rmtree(place(project, course_id))


def _changed(given: dict[str, Any], drill_id: str, course: Course) -> dict[str, Any]:
    """The course's keys for the drill."""
    kept = {key: value for key, value in given.items() if key not in _WITHOUT}
    # `isolation` has another default with `dns: manual`.
    own = {"domain": f"{drill_id}.invalid", "www": False, "dns": "manual", "isolation": course.isolation}
    return {**kept, **own, "signin": {"kind": "password"}}


def _replace(old: Path, new: Path, without: tuple[str, ...] = ()) -> None:
    if new.is_dir():
        shutil.rmtree(new)
    shutil.copytree(old, new, ignore=shutil.ignore_patterns("__pycache__", *without))


def _copy(old: Path, new: Path) -> None:
    new.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if old.is_dir():
        shutil.copytree(old, new)
    elif old.exists():
        shutil.copy2(old, new)
