"""The order of a course's server: check it against the cloud's offer, and say what it will cost."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from runner.cloud.costs import cost_of
from runner.course import Course
from runner.errors import USAGE, CoursehubError
from runner.session.session import Session


def check_order(session: Session) -> None:
    """Refuse a size, image or region that the cloud does not have, at the line of its key, before anything is made."""
    cloud, course = session.cloud, session.course
    sizes, images = cloud.sizes(), cloud.images()
    _need(session, "region", cloud.regions())
    _need(session, "size", sizes)
    _need(session, "image", images)
    for key, regions in (("size", sizes[course.size].regions), ("image", images[course.image])):
        if course.region not in regions:
            there = ", ".join(sorted(regions)) or "no region at all"
            raise CoursehubError(
                f"{session.at(key)}: {cloud.name} has {key} {getattr(course, key)!r} not in {course.region} but in "
                f"{there}; choose another {key} or region",
                exit_code=USAGE,
            )


def _need(session: Session, key: str, known: Iterable[str]) -> None:
    value, known = getattr(session.course, key), list(known)
    if value not in known:
        near = difflib.get_close_matches(value, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(sorted(known))}"
        raise CoursehubError(f"{session.at(key)}: {session.cloud.name} has no {key} {value!r}; {hint}", exit_code=USAGE)


def what_up_makes(session: Session) -> str:
    """Say in one line what ``up`` will make for a course that has no server, and what that costs.

    Raises CoursehubError for a size, image or region that the cloud does not have.
    """
    check_order(session)
    course = session.course
    if not session.cloud.costs:
        return what_up_makes_here(course)
    what = f"up makes {course.size} with {course.image} in {course.region} and points {course.domain} at it"
    return f"{what}; it costs {cost_of(session.cloud.sizes()[course.size], course.term).line()}, until 'down'"


def what_up_makes_here(course: Course) -> str:
    """The same for a server on this computer."""
    where = f"on this computer and points {course.domain} at it"
    return f"up makes {course.size} with {course.image} {where}; it costs nothing"
