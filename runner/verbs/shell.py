"""``ssh`` and ``logs``: a shell on the server, and its journal."""

from __future__ import annotations

import contextlib
import difflib
import json
import os
import subprocess
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from runner import course as courses
from runner.agreed import PATHS, UNITS
from runner.cloud import Server
from runner.errors import USAGE, CoursehubError
from runner.people import people_of
from runner.project import Project
from runner.secrets import leaks
from runner.servers.access import Access, ssh_error
from runner.session import CHECK_ACCOUNT
from runner.session.failures import no_server

#: The log of who opened whose work; it does not exist before the first opening.
OPENINGS = PATHS["openings"]


def _reach(project: Project, course_id: str) -> tuple[Access, Server]:
    leaks.refuse(project)
    courses.load(project, course_id)
    access = Access(project, course_id)
    server = access.server()
    if server is None or server.ip is None:
        raise no_server(course_id)
    return access, server


def ssh(project: Project, course_id: str, command: list[str], *, as_json: bool) -> dict[str, Any]:
    """Open a root shell, or run ``command``. Does not return unless ``as_json``."""
    access, server = _reach(project, course_id)
    if not as_json:
        argv = access.argv(str(server.ip), *command, tty=not command)
        os.execvp(argv[0], argv)  # noqa: S606
    done = subprocess.run(
        access.argv(str(server.ip), *(command or ["true"])),
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    if done.returncode == 255:
        raise ssh_error(course_id, str(server.ip), done.stderr)
    return {"course": course_id, "exit": done.returncode, "stdout": done.stdout, "stderr": done.stderr}


def logs(
    project: Project, course_id: str, account: str | None = None, *, lines: int, follow: bool, as_json: bool
) -> dict[str, Any]:
    """The journal of the hub's units, or of one person's server. ``follow`` does not return unless ``as_json``."""
    watched = [f"jupyter-{_somebody(project, course_id, account)}.service"] if account else UNITS
    units = [part for unit in watched for part in ("-u", unit)]
    command = ["journalctl", "--no-pager", "-o", "short-iso", "-n", str(lines), *units]
    said = _follow_or_read(project, course_id, command, "-f" if follow and not as_json else "")
    return {"course": course_id, "lines": said.splitlines()}


def _somebody(project: Project, course_id: str, account: str) -> str:
    """An account that may have had a server here: one of the course's people, or the account of ``check``."""
    people = people_of(project, course_id, courses.load(project, course_id))
    known = [*(person.account for person in people.everyone()), CHECK_ACCOUNT]
    if account in known:
        return account
    near = difflib.get_close_matches(account, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"look with 'coursehub roster show {course_id}'"
    raise CoursehubError(f"nobody in {course_id} has the account {account}; {hint}", exit_code=USAGE)


def openings(project: Project, course_id: str, *, lines: int, follow: bool, as_json: bool) -> dict[str, Any]:
    """Who opened whose work, oldest first: ``when`` (in the course's time zone), ``who``, ``whose``, ``what``.

    ``follow`` shows the log's own lines and does not return unless ``as_json``.
    """
    if follow and not as_json:
        _follow_or_read(project, course_id, ["tail", "-n", str(lines)], f"-F {OPENINGS}")
    command = ["test", "!", "-e", OPENINGS, "||", "tail", "-n", str(lines), OPENINGS]
    zone = ZoneInfo(courses.load(project, course_id).timezone)
    found = []
    for line in _follow_or_read(project, course_id, command, "").splitlines():
        # Skip a line that a full disk truncated.
        with contextlib.suppress(ValueError, KeyError, TypeError):
            one = json.loads(line)
            when = datetime.fromisoformat(one["when"]).astimezone(zone)
            found.append({**one, "when": when.isoformat(timespec="seconds")})
    return {"course": course_id, "openings": found}


def _follow_or_read(project: Project, course_id: str, command: list[str], follow: str) -> str:
    """The output of ``command`` on the server; with ``follow`` (its option for that), ssh replaces this process."""
    access, server = _reach(project, course_id)
    if follow:
        argv = access.argv(str(server.ip), *command, follow)
        os.execvp(argv[0], argv)  # noqa: S606
    done = subprocess.run(
        access.argv(str(server.ip), *command), capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )
    if done.returncode:
        raise ssh_error(course_id, str(server.ip), done.stderr)
    return done.stdout
