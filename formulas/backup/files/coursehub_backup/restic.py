"""Runs restic, and explains its exit codes."""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from coursehub_backup import hopeless
from coursehub_backup.config import CACHE, PLACE, STATE, Target

#: The hostname in the repository. It is the same on every server, so a new server continues the old one's snapshots.
HOST = "coursehub"
#: restic's exit codes since 0.17.
INCOMPLETE, NO_REPOSITORY, LOCKED, WRONG_PASSWORD = 3, 10, 11, 12
#: What restic asks after every failure to open a repository has one of these words if there is none.
_ABSENT = re.compile(rb"(?i)does not exist|no such file|nosuch")
#: Commands that change nothing.
_READING = ("cat", "dump", "find", "ls", "restore", "snapshots")
#: How often to try to get a lock, and how long to wait at each try but the first. restic counts one as stale after
#: 30 minutes without a refresh.
LOCK_TRIES, LOCK_WAIT = 20, "2m"
#: Seconds between two looks at what restic says, and bytes of it that are read.
_PATIENCE, _MOST_WORDS = 1.0, 1 << 24


class ResticError(Exception):
    """restic failed. The text is one line for a teacher; ``code`` is restic's exit code."""

    def __init__(self, line: str, code: int) -> None:
        super().__init__(line)
        self.code = code


class _EndedError(Exception):
    """``look`` was true, so restic was ended."""


class Restic:
    """Runs restic on one target."""

    def __init__(
        self,
        target: Target,
        *,
        program: str = "/usr/bin/restic",
        place: Path = PLACE,
        state: Path = STATE,
        cache: Path = CACHE,
        lock_wait: str = LOCK_WAIT,
        lock_tries: int = LOCK_TRIES,
        gentle: bool = True,
    ) -> None:
        self.target = target
        self._program = program
        self._password = place / "password"
        self._home = state
        self._cache = cache
        self._lock_wait = lock_wait
        self._lock_tries = lock_tries
        self._gentle = gentle
        self._lockless = False

    def run(self, *arguments: str, accept: tuple[int, ...] = ()) -> subprocess.CompletedProcess[bytes]:
        """Run one command. Exit code 0 and those in ``accept`` count as success.

        A stale lock is removed and the command tried again. Raises ResticError.
        """
        for wait in self._waits():
            done = self._once(*arguments, wait=wait)
            if code_of(done) != LOCKED:
                break
            # Removes locks of dead processes on this host and locks without a refresh for 30 minutes. Others stay.
            self._once("unlock")
        if arguments[0] in _READING and _cannot_lock(done):
            # The target can only be read, which is enough.
            self._lockless = True
            done = self._once(*arguments)
        if done.returncode and done.returncode not in accept:
            raise self.error(done)
        return done

    def run_watched(
        self, *arguments: str, accept: tuple[int, ...], look: Callable[[], bool], every: float
    ) -> subprocess.CompletedProcess[bytes] | None:
        """Like ``run``, but calls ``look`` every so many seconds. If that is true, it ends restic and returns None."""
        for wait in self._waits():
            try:
                done = self._watched(arguments, look, every, wait)
            except _EndedError:
                return None
            if code_of(done) != LOCKED:
                break
            self._once("unlock")
        if done.returncode and done.returncode not in accept:
            raise self.error(done)
        return done

    def _waits(self) -> Iterator[str]:
        """How long to wait for a lock at each try. The first does not: after a power cut the lock is a dead process's,
        and somebody may be waiting for a file.
        """
        yield "0s"
        yield from itertools.repeat(self._lock_wait, self._lock_tries - 1)

    def _watched(
        self, arguments: tuple[str, ...], look: Callable[[], bool], every: float, wait: str | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        argv = self.argv(*arguments, wait=wait)
        with (
            tempfile.TemporaryFile() as said,
            subprocess.Popen(
                argv, env=self.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said
            ) as process,
        ):
            # restic writes at the file's position, so it must not be moved.
            heard = functools.partial(os.pread, said.fileno(), _MOST_WORDS, 0)
            next_look = time.monotonic() + every
            try:
                while True:
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        out, _ = process.communicate(timeout=min(_PATIENCE, every))
                        return subprocess.CompletedProcess(argv, process.returncode, out, heard())
                    if why := hopeless.why(heard(), reads=arguments[0] in _READING):
                        _interrupt(process)
                        return subprocess.CompletedProcess(argv, 1, b"", why)
                    if time.monotonic() >= next_look:
                        if look():
                            _interrupt(process)
                            raise _EndedError
                        next_look = time.monotonic() + every
            finally:
                if process.poll() is None:
                    process.kill()

    def error(self, done: subprocess.CompletedProcess[bytes]) -> ResticError:
        """The error for a command that failed."""
        return ResticError(self._why(done), code_of(done))

    def argv(self, *arguments: str, wait: str | None = None) -> list[str]:
        """The command line, which waits so long for a lock. It contains no secret."""
        options = [part for option in self.target.options for part in ("-o", option)]
        common = ["--cache-dir", str(self._cache), "--retry-lock", wait or self._lock_wait, *options]
        if self._lockless and arguments[0] in _READING:
            common.append("--no-lock")
        return [self._program, *common, *arguments]

    def environment(self) -> dict[str, str]:
        """The environment: the repository, the path of the password file, and the target's credentials."""
        kept = {key: os.environ[key] for key in ("PATH", "SSL_CERT_FILE") if key in os.environ}
        return {
            "PATH": "/usr/bin:/bin",
            **kept,
            "HOME": str(self._home),
            "LC_ALL": "C.UTF-8",
            "RESTIC_REPOSITORY": self.target.repository,
            "RESTIC_PASSWORD_FILE": str(self._password),
            # A class may be working at the same time.
            **({"GOMAXPROCS": "1", "GOGC": "20"} if self._gentle else {}),
            **(self.target.environment or {}),
        }

    def _once(self, *arguments: str, wait: str | None = None) -> subprocess.CompletedProcess[bytes]:
        return self._watched(arguments, lambda: False, float("inf"), wait)

    def _why(self, done: subprocess.CompletedProcess[bytes]) -> str:
        known = {
            NO_REPOSITORY: "there is no repository",
            LOCKED: "another host has the repository locked",
            WRONG_PASSWORD: "the repository there was made with another password",
        }
        code = code_of(done)
        if code in known:
            return f"{self.target.name}: {known[code]}"
        lines = [_text(line) for line in done.stderr.decode(errors="replace").splitlines() if line.strip()]
        fatal = [line for line in lines if line.startswith("Fatal: ")]
        last = (fatal or lines or [f"exit {done.returncode}"])[-1]
        return f"{self.target.name}: {last.removeprefix('Fatal: ')[:300]}"


def _text(line: str) -> str:
    """What a line says; with ``--json`` restic writes its last words as JSON."""
    with contextlib.suppress(ValueError):
        found = json.loads(line)
        if isinstance(found, dict) and isinstance(found.get("message"), str):
            return str(found["message"])
    return line


def _interrupt(process: subprocess.Popen[bytes]) -> None:
    """End restic, which removes its lock before."""
    process.send_signal(signal.SIGINT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.communicate(timeout=60)


def _cannot_lock(done: subprocess.CompletedProcess[bytes]) -> bool:
    """Whether a lock could not be written. A lock of somebody else, who may be deleting just now, is not meant."""
    return code_of(done) not in (0, LOCKED) and b"unable to create lock" in done.stderr


def code_of(done: subprocess.CompletedProcess[bytes]) -> int:
    """The exit code. For a restic older than 0.17 the messages are mapped to the codes of newer versions."""
    if done.returncode != 1:
        return done.returncode
    if b"repository is already locked" in done.stderr:
        return LOCKED
    if b"wrong password or no key found" in done.stderr:
        return WRONG_PASSWORD
    if b"Is there a repository at the following location?" in done.stderr and _ABSENT.search(done.stderr):
        return NO_REPOSITORY
    return 1
