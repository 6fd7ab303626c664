"""Where a course's server was made: in which cloud and account.

With another ``cloud:`` line or another account's token, no server of the course would be found, and the old one would
cost money unnoticed. So both are stored with the server, and verbs that would look elsewhere are refused.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from runner import course as courses
from runner.cloud import Provider
from runner.course import Course
from runner.errors import USAGE, CoursehubError
from runner.files import write_private
from runner.project import Project
from runner.providers import KINDS, kind_of
from runner.servers.access import Access


@dataclass(frozen=True)
class Birthplace:
    """``cloud`` is the cloud's name, ``account`` the account's UUID there."""

    cloud: str
    account: str


def keep(access: Access, cloud: Provider) -> None:
    """Store where the course's server will be made; replaces the record of an earlier order."""
    place = Birthplace(cloud.name, cloud.health.account_id())
    if kept(access) != place:
        write_private(access.birthplace, json.dumps(asdict(place)))


def kept(access: Access) -> Birthplace | None:
    """Where the course's server was made; None if there is none, or if an older coursehub made it."""
    try:
        return Birthplace(**json.loads(access.birthplace.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None


def load(project: Project, course_id: str) -> Course:
    """The course. Raises CoursehubError (2) if its server is in another cloud than the file says."""
    course = courses.load(project, course_id)
    place = kept(Access(project, course_id))
    if place is None or place.cloud == kind_of(course).name:
        return course
    was, kind = next((word, kind) for word, kind in KINDS.items() if kind.name == place.cloud)
    seen = kind.seen(project.state, course_id)
    if seen and seen.state == "none":
        # 'local stop' removed it with all others; it costs nothing.
        return course
    raise CoursehubError(
        f"{courses.source(project, course_id).at('course', 'cloud')}: the server of {course_id} was made with cloud: "
        f"{was} and is still there; write cloud: {was} again and run 'coursehub down {course_id}', then change it",
        exit_code=USAGE,
    )


def need_account(cloud: Provider, access: Access) -> None:
    """Refuse a token for another account than the one with the course's server.

    Call this if the course's server was not found: ids belong to one account.
    """
    place = kept(access)
    if place is None or place.cloud != cloud.name or place.account == cloud.health.account_id():
        return
    raise CoursehubError(
        f"{access.course_id}: its server was made in another account of {cloud.name} (UUID {place.account}) and may "
        f"still cost money; set DIGITALOCEAN_ACCESS_TOKEN to a token of that account. If that account is closed, "
        f"remove {access.project.shown(access.directory)}",
        exit_code=USAGE,
    )
