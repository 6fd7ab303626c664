"""Finds course files and reads one as a Course."""

from __future__ import annotations

import difflib
import re

from pydantic import ValidationError

from runner.course.facts import bytes_of
from runner.course.model import Course, CourseFile
from runner.course.problems import problems
from runner.course.source import Source
from runner.errors import USAGE, CoursehubError
from runner.project import Project

#: It becomes a file name, a Salt minion's id and a tag of the cloud. An id that ends in "-people" would share a file in
#: pillar/secrets/ with another course's class list.
COURSE_ID = re.compile(r"^[a-z](?!.*-people$)[a-z0-9-]{0,30}$")

#: First bytes of PNG, JPEG, GIF and WebP files.
_PICTURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8", b"RIFF")
#: Each sign-in loads it, also over a phone's connection.
_LOGO_BYTES = 1_000_000
#: Each apply sends these files, also over a slow upload.
_DATA_BYTES = 5_000_000


def course_ids(project: Project) -> list[str]:
    """All courses that have a file, sorted."""
    return sorted(path.stem for path in project.courses.glob("*.sls"))


def source(project: Project, course_id: str) -> Source:
    """The course's file with its lines. Raises CoursehubError (2) for an unknown course."""
    path = project.course_file(course_id)
    if not COURSE_ID.fullmatch(course_id) or not path.is_file():
        known = course_ids(project)
        near = difflib.get_close_matches(course_id, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(known) or 'none yet'}"
        raise CoursehubError(f"no course {course_id!r} ({project.shown(path)} is not there); {hint}", exit_code=USAGE)
    return Source(path, project.shown(path))


def load(project: Project, course_id: str) -> Course:
    """The course as typed facts.

    Raises CoursehubError (2) with ``file:line`` for invalid YAML, an unknown key (with the nearest known one), a
    missing key, or a value of the wrong type. It reports the first mistake and how many more there are.
    """
    read = source(project, course_id)
    try:
        course = CourseFile.model_validate(read.data).course
    except ValidationError as failure:
        found = problems(read, failure)
        more = f" (and {len(found) - 1} more: coursehub validate {course_id})" if len(found) > 1 else ""
        raise CoursehubError(f"{found[0]}{more}", exit_code=USAGE) from failure
    _one_source_of_people(project, course_id, course, read)
    _memory_fits(course, read)
    _cpu_fits(course, read)
    _logo_is_there(project, course, read)
    _data_is_there(project, course, read)
    _folders_are_for_a_trial(course, read)
    return course


def _one_source_of_people(project: Project, course_id: str, course: Course, read: Source) -> None:
    listed = project.people_file(course_id)
    if course.people is not None and listed.exists():
        raise CoursehubError(
            f"{read.at('course', 'people')}: people are listed here and in the class list {project.shown(listed)}; "
            "remove one of them",
            exit_code=USAGE,
        )
    if course.people is None and not listed.exists():
        raise CoursehubError(
            f"{read.at('course')}: people is missing; add it, or read a class list with "
            f"'coursehub roster import {course_id} FILE'",
            exit_code=USAGE,
        )


def _memory_fits(course: Course, read: Source) -> None:
    """Refuse a limit above the server's memory, which the name of the size contains: s-4vcpu-8gb."""
    named = re.search(r"-(\d+)gb(-|$)", course.size)
    if named and bytes_of(course.limits.memory) > int(named[1]) * 1024**3:
        raise CoursehubError(
            f"{read.at('course', 'limits', 'memory')}: limits.memory ({course.limits.memory!r}): the server of size "
            f"{course.size} has {named[1]}G for everybody together; give one person less, or take a bigger size",
            exit_code=USAGE,
        )


def _cpu_fits(course: Course, read: Source) -> None:
    """Refuse more CPUs for one person than the server has; the name of the size contains the number."""
    named = re.search(r"-(\d+)vcpu-", course.size)
    if named and course.limits.cpu > int(named[1]):
        raise CoursehubError(
            f"{read.at('course', 'limits', 'cpu')}: limits.cpu ({course.limits.cpu:g}): the server of size "
            f"{course.size} has {named[1]} for everybody together; give one person less, or take a bigger size",
            exit_code=USAGE,
        )


def _logo_is_there(project: Project, course: Course, read: Source) -> None:
    if course.page.logo is None:
        return
    where = read.at("course", "page", "logo")
    path = project.logos / course.page.logo
    if not path.is_file():
        known = sorted(one.name for one in project.logos.glob("*"))
        near = difflib.get_close_matches(course.page.logo, known, n=1)
        hint = f"did you mean {near[0]}?" if near else "put it there"
        raise CoursehubError(f"{where}: page.logo: {project.shown(path)} is not there; {hint}", exit_code=USAGE)
    size = path.stat().st_size
    with path.open("rb") as handle:
        head = handle.read(12)
    if not any(head.startswith(mark) for mark in _PICTURES):
        raise CoursehubError(
            f"{where}: page.logo: {project.shown(path)} is not a picture of that kind", exit_code=USAGE
        )
    if size > _LOGO_BYTES:
        raise CoursehubError(
            f"{where}: page.logo: {project.shown(path)} has {size / 1e6:.1f} MB; make it smaller than 1 MB",
            exit_code=USAGE,
        )


def _folders_are_for_a_trial(course: Course, read: Source) -> None:
    """Refuse a folder of this computer for a server elsewhere, which fetches regularly and cannot reach it."""
    for number, one in enumerate(course.material.repositories):
        if one.folder and course.cloud != "local":
            where = read.at("course", "material", "repositories", number, "url")
            raise CoursehubError(
                f"{where}: material.repositories.{number + 1}.url ({one.url!r}): a folder of this computer is for a "
                "trial with cloud: local; push it to a git host and give its address, such as https://github.com/physics/labs",
                exit_code=USAGE,
            )


def _data_is_there(project: Project, course: Course, read: Source) -> None:
    for number, one in enumerate(course.material.data):
        if one.remote:
            continue
        where = f"{read.at('course', 'material', 'data', number, 'source')}: material.data.{number + 1}.source"
        path = project.data / one.source
        if not path.is_file():
            known = sorted(found.name for found in project.data.glob("*"))
            near = difflib.get_close_matches(one.source, known, n=1)
            hint = f"did you mean {near[0]}?" if near else "put it there, or give an https:// address"
            raise CoursehubError(f"{where}: {project.shown(path)} is not there; {hint}", exit_code=USAGE)
        if path.stat().st_size > _DATA_BYTES:
            raise CoursehubError(
                f"{where}: {project.shown(path)} has {path.stat().st_size / 1e6:.1f} MB, and each apply sends it; "
                "if it is above 5 MB, put it on a web server and give its https:// address",
                exit_code=USAGE,
            )
