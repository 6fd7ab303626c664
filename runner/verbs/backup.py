"""``backup`` and ``restore``: makes a backup now; restores a file, a folder or a home."""

from __future__ import annotations

import json
import shlex
from typing import Any

from runner.console import Steps
from runner.errors import USAGE, CoursehubError
from runner.project import Project
from runner.session import Session, visit

#: Seconds that a backup or a restore may take.
LONGEST = 6 * 3600
_COMMAND = "/usr/local/sbin/coursehub-backup"


def backup(project: Project, course_id: str, steps: Steps) -> dict[str, Any]:
    """Make a backup now with the timer's unit. If one is running already, wait for it."""
    with steps.step("backup", f"backup of {course_id}") as progress:
        session = visit(project, course_id, progress)
        ip = str(session.server().ip)
        _need_targets(session, ip)
        session.access.run(ip, "systemctl start coursehub-backup.service || true", seconds=LONGEST)
        found = ask(session, ip, "status")
    document = {"course": course_id, "targets": found["targets"], "problem": found["problem"]}
    if found["problem"]:
        raise CoursehubError(
            f"{course_id}: {found['problem']}; 'coursehub ssh {course_id} journalctl -u coursehub-backup' says more",
            document=document,
        )
    return document


def versions(
    project: Project, course_id: str, steps: Steps, *, user: str, path: str, target: str | None
) -> dict[str, Any]:
    """The versions of one path in the backups, newest first."""
    with steps.step("restore", f"versions of {path}") as progress:
        session = visit(project, course_id, progress)
        found = ask(session, str(session.server().ip), "list", *_target(target), "--user", user, "--path", path)
    return {"course": course_id, "user": user, "path": path, **found}


def restore(
    project: Project,
    course_id: str,
    steps: Steps,
    *,
    user: str,
    path: str,
    at: str | None,
    in_place: bool,
    target: str | None,
) -> dict[str, Any]:
    """Restore one path of one person."""
    with steps.step("restore", f"restoring {path} of {user}") as progress:
        session = visit(project, course_id, progress)
        words = [*_target(target), "--user", user, "--path", path, *(("--at", at) if at else ())]
        found = ask(session, str(session.server().ip), "restore", *words, *["--in-place"] * in_place)
    return {"course": course_id, **found}


def _target(name: str | None) -> list[str]:
    return ["--target", name] if name else []


def _need_targets(session: Session, ip: str) -> None:
    if session.access.run(ip, f"test -e {_COMMAND} && echo yes || true").strip() != "yes":
        raise CoursehubError(
            f"{session.at('domain')}: {session.course_id} has no backup on its server; add a target under backup: "
            f"targets:, then 'coursehub apply {session.course_id}'",
            exit_code=USAGE,
        )


def ask(session: Session, ip: str, *words: str) -> dict[str, Any]:
    """Run a command of the server's coursehub-backup; returns its JSON. Raises CoursehubError with its error line."""
    _need_targets(session, ip)
    command = shlex.join([_COMMAND, *words])
    said = session.access.run(ip, f"{command} 2>&1 || true", seconds=LONGEST)
    for line in said.splitlines():
        if line.startswith("{"):
            found: dict[str, Any] = json.loads(line)
            return found
    raise CoursehubError(f"{session.course_id}: {(said.strip().splitlines() or ['no answer'])[0]}")
