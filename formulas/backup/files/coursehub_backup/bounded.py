"""Runs programs with a person's rights. That person may stop them (SIGSTOP), so none may run for ever."""

from __future__ import annotations

import contextlib
import os
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


class Ended(Exception):
    """A program was killed. The text says why, for a teacher."""


def seconds_for(directory: Path) -> float:
    """How long writing a directory or a file again may take."""
    done = subprocess.run(["du", "--summarize", "--block-size=1", "--", directory], capture_output=True, check=False)
    size = done.stdout.split(b"\t")[0]
    return LEAST + (int(size) / SPEED if size.isdigit() else 0)


def run(argv: list[str], *, stdin: int | IO[bytes] | None = None, seconds: float = LEAST) -> tuple[int, str]:
    """Run a program; return its exit code and what it wrote to standard error.

    Raises Ended if it was stopped for long, or ran for more than ``seconds``; it is killed then.
    """
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            argv, stdin=stdin, stdout=subprocess.DEVNULL, stderr=said, cwd="/", start_new_session=True
        )
        try:
            _wait(process, seconds)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        said.seek(0)
        return process.returncode, said.read().decode(errors="replace")


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
