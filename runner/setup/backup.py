"""The secrets of a course's backups, and what a teacher should know of its targets."""

from __future__ import annotations

import secrets as random

from runner.course import Course
from runner.course.backup import Target
from runner.errors import USAGE, CoursehubError
from runner.project import Project
from runner.secrets import Secrets
from runner.secrets.vault import Vault
from runner.servers.access import KeyPair

#: The secret that every repository of a course is encrypted with.
PASSWORD = "backup-password"  # noqa: S105  # its name
#: The target of a local course that names none.
HERE = "this-computer"


def secret_name(target: Target) -> str:
    """The name of the secret by which a target lets the server in."""
    return f"backup-{target.name}"


def need(project: Project, course_id: str, course: Course, at: str) -> list[str]:
    """Make what is missing of the course's backup secrets: the password, and a key for each SFTP target.

    Lines about the keys that were made. Raises CoursehubError (2), with ``at``, where a secret of S3 is missing.
    """
    if not course.backup.targets:
        return []
    secrets = Secrets(project, course_id)
    have = secrets.names()
    for target in course.backup.targets:
        if target.kind == "s3" and secret_name(target) not in have:
            raise CoursehubError(
                f"{at}: backup.targets: {target.name} needs the secret key that belongs to its access_key; run "
                f"'coursehub secrets set {course_id} {secret_name(target)}'",
                exit_code=USAGE,
            )
    if PASSWORD not in have:
        Vault(project).ensure_key()
        secrets.set(PASSWORD, random.token_urlsafe(32))
    return [_key(project, course_id, target) for target in _without_key(course, have)]


def _without_key(course: Course, have: list[str]) -> list[Target]:
    return [one for one in course.backup.targets if one.kind == "sftp" and secret_name(one) not in have]


def _key(project: Project, course_id: str, target: Target) -> str:
    Vault(project).ensure_key()
    pair = KeyPair.generate(f"coursehub-{course_id}-{target.name}")
    Secrets(project, course_id).set(secret_name(target), pair.private)
    return (
        f"backup to {target.name}: add this line to ~{target.user}/.ssh/authorized_keys on {target.host}, with "
        f"'restrict,command=\"internal-sftp\"' before it: {pair.public}"
    )


def notes(course: Course, course_id: str, at: str, *, kept: bool) -> list[str]:
    """A line where the course has no backup at all; ``kept`` is whether its cloud keeps one by itself."""
    if course.backup.targets or kept:
        return []
    return [
        f"{at}: {course_id} has no backup: when its server is lost, all work is lost; write where to under backup: "
        "targets: (docs/course-file.md#backup)"
    ]
