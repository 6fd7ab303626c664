"""Saves the class's work before a server is deleted, or its term ends (docs/decisions/end-of-term.md)."""

from __future__ import annotations

from runner.archive.stream import Source
from runner.cloud import Server
from runner.console import Progress
from runner.errors import CoursehubError
from runner.session import Session
from runner.verbs import archive, backup

#: Seconds for a look at all homes.
_LOOK = 1800


def keep_work(session: Session, servers: list[Server], progress: Progress) -> str | None:
    """See that the class's work is somewhere else; return a line on where, None if there is nothing to save.

    An archive that is current is enough, and one that is not is made again: its zips are what students get. Else a
    last backup is made, and if that is not possible, an archive. Raises CoursehubError, with what to do, if none can be
    made, or if there are several servers: each may have work.
    """
    met = session.access.known_hosts.exists() and not session.access.has_first_host_key()
    if not met:
        # Never more than ordered.
        return None
    course_id = session.course_id
    try:
        if len(servers) > 1:
            raise CoursehubError(session.cloud.several(course_id, servers))
        (server,) = servers
        if server.state != "active":
            raise CoursehubError(f"the server is {server.state}")
        progress("looking whether there is work to save")
        if not has_work(session, server):
            return None
        return archived(session, server) or _save(session, server, progress)
    except CoursehubError as error:
        raise CoursehubError(
            f"{course_id}: the class's work could not be saved, so nothing was deleted: {error}; mend that, or go on "
            "without what was not saved yet: --discard-student-work"
        ) from None


def has_work(session: Session, server: Server) -> bool:
    """Whether anybody has left a file on the server, except what a new home has."""
    return session.access.run(str(server.ip), Source().work(), seconds=_LOOK).strip() == "work"


def archived(session: Session, server: Server) -> str | None:
    """A line on the newest archive, if it is whole and nothing has changed since; else None."""
    try:
        place = archive.is_current(session, server)
    except CoursehubError:
        # A damaged archive is none.
        return None
    return _line(session, place) if place else None


def _was_archived(session: Session, server: Server) -> bool:
    try:
        return archive.has_one(session, server)
    except CoursehubError:
        # As in `archived`: a damaged archive is none.
        return False


def _save(session: Session, server: Server, progress: Progress) -> str:
    why_no_archive = None
    if _was_archived(session, server):
        progress("archiving again, because the archive is not current")
        try:
            return _archive(session, server, progress) + ", with the newest work"
        except CoursehubError as error:
            why_no_archive = str(error)
    try:
        saved = backup.make_last(session, server, progress)
    except CoursehubError as error:
        reason = str(error)
    else:
        return saved if not why_no_archive else f"{saved}; the students' zips lack newer work, because {why_no_archive}"
    if not why_no_archive:
        progress(f"making an archive, because {reason}")
        try:
            return f"{_archive(session, server, progress)}, because {reason}"
        except CoursehubError as error:
            why_no_archive = str(error)
    raise CoursehubError(f"{reason}, and no archive could be made: {why_no_archive}")


def _archive(session: Session, server: Server, progress: Progress) -> str:
    place, _ = archive.make(session, server, progress)
    return _line(session, session.project.shown(place))


def _line(session: Session, place: str) -> str:
    return f"everything of {session.course_id} is archived in {place}"
