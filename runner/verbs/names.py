"""Whose a host name is: two course files must not have one, and no course takes another's DNS record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.course import neighbours
from runner.errors import USAGE, CoursehubError

if TYPE_CHECKING:
    from runner.cloud import Zone
    from runner.verbs.session import Session


def need_own(session: Session) -> None:
    """Refuse a name that another course's file has too, before anything is made or changed."""
    found = neighbours.taken(session.project, session.course_id, session.course)
    if found:
        name, where = found
        raise CoursehubError(f"{session.at('domain')}: {said(name, where)}", exit_code=USAGE)


def said(name: str, where: str) -> str:
    """What is wrong with a name that stands in another course's file, and what to do."""
    return (
        f"domain: {name} is the other course's in {where} too, and one name leads to one server; give each course its "
        "own, or take the other one down and remove its file"
    )


def need_free(session: Session, zone: Zone | None, ip: str | None = None) -> list[str]:
    """Look where the course's names lead before they are pointed at its server, whose address is ``ip``.

    Returns notes about addresses that nobody here knows. Raises CoursehubError for a name of another course's server.
    """
    names = session.course.hostnames if zone else ()
    return [note for name in names if zone and (note := _look(session, zone, name, ip))]


def _look(session: Session, zone: Zone, hostname: str, ip: str | None) -> str | None:
    elsewhere = [address for address in session.cloud.addresses(zone, hostname) if address != ip]
    for address in elsewhere:
        other = session.cloud.course_at(address)
        if other and other != session.course_id:
            raise CoursehubError(
                f"{session.at('domain')}: {hostname} leads to the server of {other} ({address}), whose students use "
                f"it; choose another domain here, or take that one down first: 'coursehub down {other}'"
            )
    # An address of an earlier server of this course is no news.
    unknown = [address for address in elsewhere if hostname not in session.access.names()]
    return f"{hostname} led to {unknown[0]} until now; it leads to {ip} from now on" if unknown else None
