"""One runner at a time for each course: a kernel lock that ends with the process that holds it."""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

from runner.errors import CoursehubError
from runner.project import Project


@contextlib.contextmanager
def claim(project: Project, course_id: str, verb: str) -> Iterator[None]:
    """Hold the course while the block runs.

    Raises CoursehubError that names who holds it. A runner that died holds nothing: the kernel gave its lock back.
    """
    directory = project.state / "claims"
    directory.mkdir(mode=0o700, exist_ok=True)
    with (directory / f"{course_id}.lock").open("a+", encoding="utf-8") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CoursehubError(
                f"{course_id}: {_holder(handle.name)}; wait for it to end, then run this again"
            ) from error
        handle.truncate(0)
        handle.write(json.dumps({"verb": verb, "pid": os.getpid(), "user": getpass.getuser(), "since": time.time()}))
        handle.flush()
        try:
            yield
        finally:
            handle.truncate(0)


def _holder(path: str) -> str:
    try:
        held = json.loads(Path(path).read_text(encoding="utf-8"))
        minutes = int((time.time() - held["since"]) / 60)
        return f"{held['user']} runs '{held['verb']}' on it (process {held['pid']}, for {minutes} min)"
    except (OSError, ValueError, KeyError):
        return "another coursehub is at work on it"
