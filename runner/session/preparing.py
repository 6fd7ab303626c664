"""What every highstate needs before it runs: the course's secrets, its records, and the pillar."""

from __future__ import annotations

from runner.cloud import Server
from runner.session import names
from runner.session.needs import ensure_lock, need_backup, need_material, need_signin
from runner.session.notes import notes as notes_of
from runner.session.session import Session


def prepare(session: Session, server: Server, notes: list[str], *, test: bool) -> None:
    """Check and write all of it; ``notes`` gets lines for the teacher. With ``test`` nothing is changed outside."""
    notes += notes_of(session, server)
    names.need_own(session)
    ensure_lock(session)
    need_signin(session)
    need_material(session)
    if not test:
        notes += need_backup(session)
        notes += names.ensure_records(session, server)
        session.cloud.around.ensure_firewall(session.course_id, server.id, names_too=session.course.subdomains)
    session.write_pillar(str(server.ip))
