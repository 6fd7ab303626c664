"""What a course must have before anything is made or changed for it: a lock, a sign-in, keys for its material."""

from __future__ import annotations

from runner import course as courses
from runner.packages import lock
from runner.secrets import Secrets
from runner.session.session import Session
from runner.setup import backup, material, signin


def ensure_lock(session: Session) -> None:
    """Lock the course's packages at their first use. Raises CoursehubError for a lock that no longer fits them."""
    line = courses.source(session.project, session.course_id).line(("course", "packages"))
    lock.ensure_lock(session.course_id, session.course.locked_packages, session.project.root, line=line)


def need_signin(session: Session) -> None:
    """Refuse an incomplete sign-in before anything is made."""
    secrets = Secrets(session.project, session.course_id)
    signin.need(session.course, session.people, secrets, session.at("signin", "kind"))


def need_material(session: Session) -> None:
    """Refuse a private repository without a valid deploy key before anything is made."""
    secrets = Secrets(session.project, session.course_id)
    material.need(session.course, session.course_id, secrets, session.at("material", "repositories"))


def need_backup(session: Session) -> list[str]:
    """Make the password and the keys that backups need; refuse a target whose secret is not there.

    Lines about keys that were made now and wait to be pasted.
    """
    return backup.need(session.project, session.course_id, session.course, session.at("backup", "targets"))
