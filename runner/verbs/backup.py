"""``backup`` and ``restore``: makes a backup now; restores a file, a folder, a home or a whole server."""

from __future__ import annotations

import json
import shlex
import time
from typing import Any

from runner.cloud import Server
from runner.console import Progress, Steps
from runner.errors import USAGE, CoursehubError
from runner.project import Project
from runner.servers.claim import claim, claim_in_cloud
from runner.session import Session, visit

#: Seconds that a backup or a restore may take.
LONGEST = 6 * 3600
#: Seconds between two looks at a restore that runs on the server.
POLL = 2.0
_COMMAND = "/usr/local/sbin/coursehub-backup"


def backup(project: Project, course_id: str, steps: Steps) -> dict[str, Any]:
    """Make a backup now with the timer's unit."""
    with steps.step("backup", f"backup of {course_id}") as progress:
        session = visit(project, course_id, progress)
        ip = str(session.server().ip)
        _need_targets(session, ip)
        found = _new_backup(session, ip)
    document = {"course": course_id, "targets": found["targets"], "problem": found["problem"]}
    if found["problem"]:
        raise CoursehubError(
            f"{course_id}: {found['problem']}; 'coursehub ssh {course_id} journalctl -u coursehub-backup' says more",
            document=document,
        )
    return document


def _new_backup(session: Session, ip: str) -> dict[str, Any]:
    """Make a backup that begins after this call; return the status. Its ``problem`` also names a target without one."""
    began = ask(session, ip, "status")["now"]
    # One that runs already may have read a home before its owner's last change. Then a second one is made.
    for _ in range(2):
        session.access.run(ip, "systemctl start coursehub-backup.service || true", seconds=LONGEST)
        found = ask(session, ip, "status")
        missing = [name for name, one in found["targets"].items() if (one.get("ok") or 0) < began]
        if found["problem"] or not missing:
            return found
    return {**found, "problem": f"the backup to {', '.join(missing)} ended before it was complete"}


def make_first(session: Session, ip: str, verb: str) -> list[str]:
    """Make a backup before a risky change; returns a note if the course has none. Raises CoursehubError if it fails."""
    if not has_backup(session, ip):
        return [f"{session.at('domain')}: {session.course_id} has no backup, so none was made before the {verb}"]
    found = _new_backup(session, ip)
    if found["problem"]:
        raise CoursehubError(
            f"{session.course_id}: {found['problem']}; nothing was changed; mend that, or go on without a backup with "
            f"'coursehub {verb} {session.course_id} --no-backup'"
        )
    return []


def make_last(session: Session, server: Server, progress: Progress) -> str:
    """Make a backup before the server is deleted; return a line on it.

    Raises CoursehubError with the cause if there is none afterwards that has all of the class's work.
    """
    ip = str(server.ip)
    if not has_backup(session, ip):
        raise CoursehubError("there is no backup target")
    progress("making the last backup")
    found = _new_backup(session, ip)
    if found["problem"]:
        raise CoursehubError(found["problem"])
    targets = found["targets"]
    left_out = sorted({name for one in targets.values() for name in one.get("left_out") or ()})
    if left_out:
        raise CoursehubError(f"the backup leaves out {', '.join(left_out)}: too many files, or too large empty ones")
    if all(one.get("dies_with_server") for one in targets.values()):
        raise CoursehubError(f"all backups are on the server's own disk ({', '.join(targets)}) and are lost with it")
    return f"the last backup of {session.course_id} is at {', '.join(targets)}"


def has_backup(session: Session, ip: str) -> bool:
    """Whether the server makes backups."""
    return session.access.run(ip, f"test -e {_COMMAND} && echo yes || true").strip() == "yes"


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


def snapshots(project: Project, course_id: str, steps: Steps, *, target: str | None) -> dict[str, Any]:
    """The backups of the whole server, newest first."""
    with steps.step("restore", f"backups of {course_id}") as progress:
        session = visit(project, course_id, progress)
        found = ask(session, str(session.server().ip), "servers", *_target(target))
    return {"course": course_id, **found}


def restore_everything(
    project: Project,
    course_id: str,
    steps: Steps,
    *,
    at: str | None,
    target: str | None,
    stop_servers: bool = False,
) -> dict[str, Any]:
    """Restore passwords, the hub's database, shared directories and homes onto a new server.

    The server goes on if this computer loses it; run again, this waits for the end. Raises CoursehubError with the
    document if a part failed, or was not restored completely.
    """
    words = [*_target(target), *(("--at", at) if at else ()), *["--stop-servers"] * stop_servers]
    with (
        claim(project, course_id, "restore"),
        steps.step("restore", f"restoring everything of {course_id}") as progress,
    ):
        session = visit(project, course_id, progress)
        with claim_in_cloud(session.cloud, project, course_id, "restore"):
            found = follow_restore(session, words, progress)
    wrong = _what_is_wrong(course_id, found, words)
    document = {"course": course_id, **found}
    if wrong:
        raise CoursehubError(f"{course_id}: {wrong}", document=document)
    return document


def follow_restore(session: Session, words: list[str], progress: Progress) -> dict[str, Any]:
    """Start the restore on the server, or join one that runs; returns its report when it has ended."""
    ip = str(session.server().ip)
    found = ask(session, ip, "restore-everything", *words)
    while found["running"]:
        done, total = len(found.get("parts", ())), found.get("total")
        progress(f"{found['now']}, {done + 1} of {total}" if found.get("now") else "looking for the newest backup")
        time.sleep(POLL)
        found = ask(session, ip, "progress")
    return found


def _what_is_wrong(course_id: str, found: dict[str, Any], words: list[str]) -> str | None:
    """What a report says that a teacher must know, with what to do; None if all is restored."""
    again = f"coursehub restore {course_id} --all"
    if found.get("error"):
        return str(found["error"])
    if not found.get("ended"):
        return f"the restore was interrupted; run '{shlex.join([*again.split(), *words])}' again, it goes on"
    names = {
        result: [one["name"] for one in found["parts"] if one["result"] == result] for result in ("failed", "partly")
    }
    if names["failed"]:
        # Without options the server goes on with the same backup.
        first, *others = names["failed"]
        nor = f", nor {len(others)} more" if others else ""
        return f"{first} could not be restored{nor}; the rest is; run '{again}' again to try only what is missing"
    if names["partly"]:
        first, *others = names["partly"]
        too = f" and {len(others)} more" if others else ""
        return (
            f"{first}{too}: some files could not be read from the backup at {found['target']}; '{again}' tries "
            f"them again; for another target: 'coursehub restore {course_id} --user ACCOUNT --path . --target TARGET'"
        )
    return None


def _target(name: str | None) -> list[str]:
    return ["--target", name] if name else []


def _need_targets(session: Session, ip: str) -> None:
    if not has_backup(session, ip):
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
    if said.startswith("usage:"):
        raise CoursehubError(
            f"{session.course_id}: its server was set up by an older coursehub; run 'coursehub apply "
            f"{session.course_id}' first"
        )
    raise CoursehubError(f"{session.course_id}: {(said.strip().splitlines() or ['no answer'])[0]}")
