"""Who owns a host name: two course files must not share one, and no course takes another's DNS record."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from runner.cloud import Server, Zone, record_of, zone_among
from runner.course import neighbours
from runner.course.hostnames import CHALLENGE
from runner.errors import USAGE, CoursehubError
from runner.session.session import Session


def need_own(session: Session) -> None:
    """Refuse a name that another course file has too, before anything is made or changed."""
    found = neighbours.taken(session.project, session.course_id, session.course)
    if found:
        name, where = found
        raise CoursehubError(f"{session.at('domain')}: {said(name, where)}", exit_code=USAGE)


def said(name: str, where: str) -> str:
    """Say which name another course file has too, and what to do."""
    return (
        f"domain: {name} is an address of another course too ({where}), and one name leads to one server; give each "
        "course its own, or take the other one down and remove its file"
    )


def need_free(session: Session, zone: Zone | None, ip: str | None = None) -> list[str]:
    """Check where the course's names point before they are pointed at its server, whose address is ``ip``.

    Without ``ip`` the server does not exist yet. Returns a note for each record that this computer did not write and
    that will be replaced. Raises CoursehubError for a name of another course's server.
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
    # Addresses of this course's earlier servers need no note.
    unknown = [address for address in elsewhere if hostname not in session.access.names()]
    if not unknown:
        return None
    if ip is None:
        return f"{hostname} leads to {unknown[0]} now and will lead to the new server"
    return f"{hostname} led to {unknown[0]} until now; it leads to {ours.data} from now on"


def ensure_records(session: Session, server: Server) -> list[str]:
    """Point the course's names at its server, unless the teacher makes the records by hand.

    Returns a note for each name that pointed elsewhere. Raises CoursehubError for another course's name.
    """
    zone = session.zone()
    if zone and server.ip:
        need_names(session)
        notes = need_free(session, zone, server.ip)
        session.access.remember_names(session.course.dns_names)
        records = [record_of(name, ip) for ip in server.addresses for name in session.course.dns_names]
        for record in dict.fromkeys(records):
            session.cloud.ensure_record(zone, record)
        session.cloud.ensure_caa(zone, session.course.domain)
        return notes
    return []


def need_names(session: Session) -> None:
    """Refuse names that cannot lead to a server here."""
    for hostname in session.course.hostnames:
        if why := session.cloud.name_taken(hostname):
            raise CoursehubError(f"{session.at('domain')}: {why}")


def remove_records(session: Session, addresses: Iterable[str]) -> None:
    """Remove all records that were made for the course's server, including names that it no longer has."""
    made = session.access.names() or (session.course.dns_names if session.course.dns == "cloud" else ())
    zones = session.cloud.zones() if made else []
    ours = [address for address in addresses if made and session.cloud.course_at(address) in (None, session.course_id)]
    for address, hostname in itertools.product(ours, made):
        zone = zone_among(zones, hostname)
        if zone:
            session.cloud.remove_record(zone, record_of(hostname, address))
    for hostname in made if ours else ():
        zone = zone_among(zones, hostname)
        if zone and "*" not in hostname and not hostname.startswith(CHALLENGE):
            session.cloud.remove_caa(zone, hostname)
