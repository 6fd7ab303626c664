"""Whose a host name is: two course files must not have one, and no course takes another's DNS record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.cloud import record_of
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

    Without ``ip`` the server is yet to be made. Returns notes about records that nobody here knows, which will be
    replaced. Raises CoursehubError for a name of another course's server.
    """
    names = session.course.dns_names if zone else ()
    return [note for name in names if zone and (note := _look(session, zone, name, ip))]


def _look(session: Session, zone: Zone, hostname: str, ip: str | None) -> str | None:
    ours = record_of(hostname, ip or "")
    elsewhere = [target for target in session.cloud.targets(zone, ours) if target != ours.data]
    for address in elsewhere if ours.kind == "A" else ():
        other = session.cloud.course_at(address)
        if other and other != session.course_id:
            raise CoursehubError(
                f"{session.at('domain')}: {hostname} leads to the server of {other} ({address}), whose students use "
                f"it; choose another domain here, or take that one down first: 'coursehub down {other}'"
            )
    # An address of an earlier server of this course is no news.
    unknown = [address for address in elsewhere if hostname not in session.access.names()]
    if not unknown:
        return None
    if ip is None:
        return f"{hostname} leads to {unknown[0]} now and will lead to the new server"
    return f"{hostname} led to {unknown[0]} until now; it leads to {ours.data} from now on"
