"""Runs programs with a person's rights, in that person's reach.

The person may stop them (SIGSTOP), so none may run for ever. The person may also take one over, as a debugger does, so
none may have more memory or processes than the person's own server, or outlive its task.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import IO

#: Seconds that a program may be stopped.
STOPPED = 10.0
#: Seconds for any program, and bytes that it must write in one second.
LEAST, SPEED = 300.0, 1 << 20
_LOOK = 0.5
#: The slice of all people's servers, with a limit for all together.
_SLICE = "class.slice"
#: Limits for one program and what it starts; tar needs a few megabytes, and Linux frees read files by itself.
_LIMITS = ("MemoryMax=256M", "TasksMax=16")
_SYSTEMD = Path("/run/systemd/system")


class Ended(Exception):
    """A program was killed. The text says why, for a teacher."""


def seconds_for(directory: Path) -> float:
    """How long writing a directory or a file again may take."""
    done = subprocess.run(["du", "--summarize", "--block-size=1", "--", directory], capture_output=True, check=False)
    size = done.stdout.split(b"\t")[0]
    return LEAST + (int(size) / SPEED if size.isdigit() else 0)


def run(
    account: str, argv: list[str], *, stdin: int | IO[bytes] | None = None, seconds: float = LEAST
) -> tuple[int, str]:
    """Run a program as ``account``; return its exit code and what it wrote to standard error.

    Whatever it started has ended when this returns. Raises Ended if it was stopped for long, or ran for more than
    ``seconds``; it is killed then.
    """
    scope = f"coursehub-as-person-{secrets.token_hex(8)}.scope" if _SYSTEMD.is_dir() else ""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [*_inside(scope), *_as_person(account), *argv],
            stdin=stdin,
            stdout=subprocess.DEVNULL,
            stderr=said,
            cwd="/",
            start_new_session=True,
        )
        try:
            _wait(process, seconds)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            if scope:
                # Also what left the session. Usually nothing is there, and the scope is gone.
                kill = ["systemctl", "kill", "--signal=KILL", scope]
                subprocess.run(kill, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        said.seek(0)
        return process.returncode, said.read().decode(errors="replace")


def _inside(scope: str) -> list[str]:
    """The words before a command that runs in a scope of its own; none without systemd."""
    if not scope:
        return []
    limits = [f"--property={limit}" for limit in _LIMITS]
    return ["systemd-run", "--scope", "--quiet", "--collect", f"--unit={scope}", f"--slice={_SLICE}", *limits, "--"]


def _as_person(account: str) -> list[str]:
    person = pwd.getpwnam(account)
    words = ["setpriv", f"--reuid={person.pw_uid}", f"--regid={person.pw_gid}", "--init-groups"]
    return [*words, "--no-new-privs", "--inh-caps=-all", "--bounding-set=-all", "--reset-env"]


def _wait(process: subprocess.Popen[bytes], seconds: float) -> None:
    until, moving = time.monotonic() + seconds, time.monotonic()
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_LOOK)
            return
        now = time.monotonic()
        if not _is_stopped(process.pid):
            moving = now
        if now - moving > STOPPED:
            raise Ended(f"somebody stopped the program that writes there, for {STOPPED:.0f} s")
        if now > until:
            raise Ended(f"it took more than {seconds:.0f} s")


def _is_stopped(session: int) -> bool:
    """Whether any program of this session is stopped, also by a debugger."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, IndexError):
            # The second field is the program's name, which may have spaces and brackets.
            state, _, _, number = path.read_text(errors="replace").rpartition(")")[2].split()[:4]
            if int(number) == session and state in ("T", "t"):
                return True
    return False
