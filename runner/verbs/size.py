"""``size``: which size of a server a course needs. Changes nothing."""

from __future__ import annotations

from typing import Any

from runner.console import Steps
from runner.errors import USAGE, CoursehubError
from runner.people import people_of
from runner.project import Project
from runner.rehearsal import advice
from runner.session import connect


def size(project: Project, course_id: str, students: int | None, steps: Steps) -> dict[str, Any]:
    """The cheapest size for a class of ``students`` (by default all people of the course), and what its own size holds.

    Raises CoursehubError if no size is big enough, or if nobody is in the course.
    """
    with steps.step("look", f"look at the sizes for {course_id}") as progress:
        session = connect(project, course_id, progress)
        course, sizes = session.course, session.cloud.sizes()
        number = students or len(list(people_of(project, course_id, course).everyone()))
    if not number:
        raise CoursehubError(f"{course_id} has no people yet; say how many will come: --students 30", exit_code=USAGE)
    best = advice.cheapest(sizes, course.region, number, advice.USUAL)
    if best is None:
        raise CoursehubError(
            f"{session.at('region')}: no size in {course.region} is big enough for {number} at once; use another "
            "region, or two courses"
        )
    here = sizes.get(course.size)
    return {
        "course": course_id,
        "students": number,
        "size": course.size,
        "holds": advice.holds(here, advice.USUAL) if here else None,
        "advice": best.slug,
        "holds_then": advice.holds(best, advice.USUAL),
        "monthly": best.price_monthly,
        "megabytes": advice.USUAL.megabytes,
        "measured": advice.MEASURED,
    }
