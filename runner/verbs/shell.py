"""``ssh`` and ``logs``: onto the server."""

from __future__ import annotations

import os
import subprocess
from typing import Any

from runner import course as courses
from runner import leaks
from runner.access import Access, ssh_error
from runner.cloud import Server
from runner.project import Project
from runner.verbs.session import no_server

#: The units that make up a hub, for ``logs``.
UNITS = ("jupyterhub", "jupyterhub-proxy", "nginx", "certbot", "coursehub-cert")


def _reach(project: Project, course_id: str) -> tuple[Access, Server]:
    leaks.refuse(project)
    courses.load(project, course_id)
    access = Access(project, course_id)
    server = access.server()
    if server is None or server.ip is None:
        raise no_server(course_id)
    return access, server


def ssh(project: Project, course_id: str, command: list[str], *, as_json: bool) -> dict[str, Any]:
    """Open a root shell, or run ``command``; does not return unless ``as_json``."""
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


def logs(project: Project, course_id: str, *, lines: int, follow: bool, as_json: bool) -> dict[str, Any]:
    """The journal of the hub's units. ``follow`` does not return unless ``as_json``."""
    access, server = _reach(project, course_id)
    units = [part for unit in UNITS for part in ("-u", unit)]
    command = ["journalctl", "--no-pager", "-o", "short-iso", "-n", str(lines), *units]
    if follow and not as_json:
        argv = access.argv(str(server.ip), *command, "-f")
        os.execvp(argv[0], argv)  # noqa: S606
    done = subprocess.run(
        access.argv(str(server.ip), *command), capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )
    if done.returncode:
        raise ssh_error(course_id, str(server.ip), done.stderr)
    return {"course": course_id, "lines": done.stdout.splitlines()}
