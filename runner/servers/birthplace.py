"""Where a course's server was made: in which cloud, in whose account.

A changed ``cloud:`` line or another account's token finds no server of the course, and the old one would cost money
unseen. So both are kept with the server, and every verb that would look elsewhere is refused.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from runner import course as courses
from runner import local
from runner.cloud import Provider, tag_of
from runner.course import Course
from runner.errors import USAGE, CoursehubError
from runner.files import write_private
from runner.project import Project
from runner.servers.access import Access

#: What the user calls each ``cloud:`` of a course file.
CLOUDS = {"digitalocean": "DigitalOcean", "local": "the local cloud"}


@dataclass(frozen=True)
class Birthplace:
    """``cloud`` is the cloud's name, ``account`` the account's UUID there."""

    cloud: str
    account: str


def keep(access: Access, cloud: Provider) -> None:
    """Keep where the course's server is made, before it is. What an earlier order kept is replaced."""
    place = Birthplace(cloud.name, cloud.health.account_id())
    if kept(access) != place:
        write_private(access.birthplace, json.dumps(asdict(place)))


def kept(access: Access) -> Birthplace | None:
    """Where the course's server was made; None when there is none, or one of an earlier coursehub."""
    try:
        return Birthplace(**json.loads(access.birthplace.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None


def load(project: Project, course_id: str) -> Course:
    """The course. Raises CoursehubError (2) when its server is in another cloud than its file says."""
    course = courses.load(project, course_id)
    place = kept(Access(project, course_id))
    if place is None or place.cloud == CLOUDS[course.cloud]:
        return course
    if place.cloud == CLOUDS["local"] and not _has_machine(project, course_id):
        # 'local stop' took it away with all the others, and it costs nothing.
        return course
    was = next(word for word, name in CLOUDS.items() if name == place.cloud)
    raise CoursehubError(
        f"{courses.source(project, course_id).at('course', 'cloud')}: the server of {course_id} was made with cloud: "
        f"{was} and is still there; write cloud: {was} again and run 'coursehub down {course_id}', then change it",
        exit_code=USAGE,
    )


def _has_machine(project: Project, course_id: str) -> bool:
    return any(tag_of(course_id) in machine.tags for machine in local.status(project.state).machines)


def need_account(cloud: Provider, access: Access) -> None:
    """Refuse the token of another account than the one that has the course's server.

    To be asked when the course's server was not found: a server's id belongs to one account alone.
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
