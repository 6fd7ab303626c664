"""Notes on a working course: changes that need a new server, and interrupted work."""

from __future__ import annotations

from runner.cloud import Server
from runner.people.passwords import Passwords
from runner.providers import kind_of
from runner.session.session import Session
from runner.setup import backup, signin


def notes(session: Session, server: Server) -> list[str]:
    """Return the notes on a course.

    There is one for each key that only a new server can have (with ``file:line``), for passwords that nobody printed,
    and for an interrupted change of the SSH key.
    """
    found = signin.notes(session.course, session.people, session.at("signin", "kind"))
    found += backup.notes(
        session.course, session.course_id, session.at("domain"), kept=kind_of(session.course).keeps_backups
    )
    found += _late_passwords(session)
    if session.access.changes_key():
        found.append(
            f"{session.course_id}: a change of the SSH key was interrupted, so the old key still opens the server; "
            f"'coursehub secrets rotate {session.course_id} ssh-key' ends it"
        )
    pairs = ((key, getattr(session.course, key), getattr(server, key)) for key in ("size", "image", "region"))
    return found + [
        f"{session.at(key)}: {key} is {wanted} here and {has} on the server; only a new server gets it: 'coursehub "
        f"down {session.course_id}' (deletes the files on it), then up. Everything else continues"
        for key, wanted, has in pairs
        # The provider drops an image's name when it has a newer image.
        if has and wanted != has
    ]


def _late_passwords(session: Session) -> list[str]:
    """A note on people who were added after the sheet of first passwords was printed."""
    if session.course.signin.kind != "password":
        return []
    accounts = [person.account for person in session.people.everyone()]
    missing = Passwords(session.project, session.course_id).not_handed_out(accounts)
    if not missing or len(missing) == len(accounts):
        return []
    verb = f"'coursehub passwords {session.course_id} --new' prints {'it' if len(missing) == 1 else 'them'}"
    if len(missing) == 1:
        return [f"{missing[0]} has a first password that was not printed yet; {verb}"]
    return [f"{len(missing)} people have a first password that was not printed yet; {verb}"]
