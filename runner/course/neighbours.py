"""Finds host names that two course files of one repository claim; only one server can have a name."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from runner.course.model import Course
from runner.course.reading import COURSE_ID, course_ids
from runner.course.source import Source
from runner.errors import CoursehubError
from runner.project import Project


def taken(project: Project, course_id: str, course: Course) -> tuple[str, str] | None:
    """A host name that another course file has too, and its place there; None if there is none.

    A file that cannot be read claims nothing; its own verbs report what is wrong.
    """
    for other in course_ids(project):
        if other == course_id or not COURSE_ID.fullmatch(other):
            continue
        with contextlib.suppress(CoursehubError, OSError):
            path = project.course_file(other)
            read = Source(path, project.shown(path))
            theirs = set(_names(read))
            both = next((name for name in course.hostnames if name in theirs), None)
            if both:
                return both, read.at("course", "domain")
    return None


def _names(read: Source) -> Iterator[str]:
    data = read.data.get("course") if isinstance(read.data, dict) else None
    domain = data.get("domain") if isinstance(data, dict) else None
    if isinstance(domain, str):
        yield domain
        if data and data.get("www", True) is not False:
            yield f"www.{domain}"
