"""Only one runner at a time for each course: a kernel lock on this computer, and a claim at the provider for others."""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import hashlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

from runner.cloud import Provider, maker
from runner.cloud.claims import STALE, Claim
from runner.errors import CoursehubError
from runner.project import Project


@contextlib.contextmanager
def claim(project: Project, course_id: str, verb: str) -> Iterator[None]:
    """Lock the course for the duration of the block.

    Raises CoursehubError that names the holder. If a runner dies, the kernel releases its lock.
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


def holder(project: Project, course_id: str) -> str | None:
    """What works on the course now, in a few words; None if nothing does."""
    path = project.state / "claims" / f"{course_id}.lock"
    try:
        with path.open(encoding="utf-8") as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return None
    except BlockingIOError:
        return _holder(str(path))
    return None


def _holder(path: str) -> str:
    # The holder says who it is a moment after it took the lock.
    for _ in range(10):
        try:
            held = json.loads(Path(path).read_text(encoding="utf-8"))
            minutes = int((time.time() - held["since"]) / 60)
            return f"{held['user']} runs '{held['verb']}' on it (process {held['pid']}, for {minutes} min)"
        except (OSError, ValueError, KeyError):
            time.sleep(0.05)
    return "another coursehub is at work on it"


@contextlib.contextmanager
def claim_in_cloud(cloud: Provider, project: Project, course_id: str, verb: str) -> Iterator[None]:
    """Claim the course for all computers for the duration of the block. The lock on this computer must be held already.

    A provider without costs has no other computers. Raises CoursehubError that names the holder and since when. A dead
    runner's claim lasts until it is too old, or until the same working copy claims the course again.
    """
    if not cloud.costs:
        yield
        return
    place = hashlib.sha256(f"{maker()}:{project.root}".encode()).hexdigest()[:12]
    ours = Claim(int(time.time()), place, verb, maker())
    if other := cloud.claims.take(course_id, ours):
        since = time.strftime("%H:%M", time.localtime(other.since))
        until = time.strftime("%H:%M", time.localtime(other.since + STALE))
        raise CoursehubError(
            f"{course_id}: {other.who} (user and computer) runs '{other.verb}' on it since {since}; wait for it to "
            f"end, then run this again. If that run died, its claim ends at {until}"
        )
    try:
        yield
    finally:
        # If the provider does not answer now, the claim expires by itself.
        with contextlib.suppress(CoursehubError):
            cloud.claims.drop(course_id, ours)
