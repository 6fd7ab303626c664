"""Builds the salt-ssh command lines (pure functions) and runs them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from runner.errors import CoursehubError
from runner.project import Project
from runner.saltssh import results, shipped
from runner.saltssh.scratch import scratch
from runner.saltssh.tail import HIGHSTATE_SECONDS, Tail, Watcher, watched
from runner.secrets.values import unlocked
from runner.servers.access import Access, is_host_key_refusal, ssh_error

#: OpenSSH exits with this code if SSH itself failed, not the remote command.
_SSH_FAILED = 255
#: Megabytes that salt-ssh needs on the server: its code, the states and their files.
FULL_MEGABYTES = 50


def argv(course_id: str, function: str, *arguments: str) -> list[str]:
    """The salt-ssh command line for one course. The Saltfile of the working directory sets the rest."""
    salt_ssh = Path(sys.executable).parent / "salt-ssh"
    return [str(salt_ssh), "--out=json", "--static", "--no-color", course_id, function, *arguments]


def highstate(
    project: Project,
    course_id: str,
    *,
    ip: str,
    test: bool = False,
    sls: Sequence[str] = (),
    watch: Watcher = lambda *_: None,
) -> results.Report:
    """Apply the course's states (with ``sls``: only these), or with ``test`` report what would change.

    ``watch`` is called for each state that starts. Raises CoursehubError if Salt gave no usable report. A failed state
    raises nothing; it is in the report.
    """
    access = Access(project, course_id)
    with unlocked(project, course_id), watched(access, ip, watch) as tail:
        rendered_from = None if sls else shipped.inputs(project, course_id)
        script = shipped.script(access, rendered_from, test=test)
        if script and (report := _run_shipped(access, ip, script, tail)):
            return report
        arguments = [f"test={test}", "concurrent=True"] if test else []
        function = "state.apply" if sls else "state.highstate"
        command = argv(course_id, function, *([",".join(sls)] if sls else []), *arguments)
        with scratch(project) as packing:
            environment = {**_environment(), "TMPDIR": str(packing.directory)}
            done = _in_time(course_id, command, cwd=project.root, env=environment, pass_fds=[packing.descriptor])
        broke = done.returncode != 0 and tail.broke()
    output = done.stdout + done.stderr
    if is_host_key_refusal(output):
        raise ssh_error(course_id, ip, output)
    try:
        report = results.parse(course_id, done.stdout, done.stderr)
    except CoursehubError as error:
        known = _broken_off(course_id, ip) if broke else _full(access, ip)
        if known is None:
            raise
        raise known from error
    # If a file was saved while Salt read the states, nobody knows whether the package contains the change.
    if rendered_from and not report.failed and shipped.inputs(project, course_id) == rendered_from:
        shipped.keep(access, rendered_from, tail.shipped)
    return report


def _run_shipped(access: Access, ip: str, script: str, tail: Tail) -> results.Report | None:
    """Run the states that salt-ssh shipped last; return None if that is not possible and salt-ssh must run instead."""
    done = _in_time(access.course_id, access.argv(ip, "/bin/sh", "-s"), input=script)
    try:
        return results.parse(access.course_id, done.stdout, done.stderr, minion="local")
    except CoursehubError as error:
        if done.returncode == _SSH_FAILED or done.returncode < 0:
            # The command may still run on the server, so nothing else may start.
            raise _broken_off(access.course_id, ip) from error
        # The tail may have reported states of that run already.
        tail.shipped = None
        return None


def _in_time(course_id: str, command: list[str], **how: Any) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=HIGHSTATE_SECONDS, check=False, **how)
    except subprocess.TimeoutExpired as error:
        raise CoursehubError(
            f"{course_id}: the highstate took more than {HIGHSTATE_SECONDS // 60} minutes; "
            "run the same command again, and it continues"
        ) from error


def _broken_off(course_id: str, ip: str) -> CoursehubError:
    """The error for a connection that ended before the highstate did."""
    return CoursehubError(
        f"{course_id}: the connection to {ip} broke in the middle of the highstate; what the server began it ends by "
        f"itself, unless it went down; run 'coursehub apply {course_id}', which waits for that and does what is left"
    )


def _full(access: Access, ip: str) -> CoursehubError | None:
    """The error for a server whose disk is so full that salt-ssh could not start."""
    try:
        output = access.run(ip, "df --output=avail -m / /var/lib", seconds=20)
    except CoursehubError:
        return None
    if min(int(line) for line in output.split()[1:]) > FULL_MEGABYTES:
        return None
    return CoursehubError(
        f"{access.course_id}: the server's disk is full; make room there ('coursehub ssh {access.course_id}') or take "
        "a bigger size, then run the same command again"
    )


def _environment() -> dict[str, str]:
    # Salt must not read a teacher's own ~/.salt or SALT_* settings.
    return {key: value for key, value in os.environ.items() if not key.startswith("SALT_")}
