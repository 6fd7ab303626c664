"""Runs restic, and explains its exit codes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

from coursehub_backup.config import CACHE, PLACE, STATE, Target

#: The hostname in the repository. It is the same on every server, so a new server continues the old one's snapshots.
HOST = "coursehub"
#: restic's exit codes since 0.17.
INCOMPLETE, NO_REPOSITORY, LOCKED, WRONG_PASSWORD = 3, 10, 11, 12
#: How often, and how long each time, to wait for a lock. restic counts one as stale after 30 minutes without a refresh.
LOCK_TRIES, LOCK_WAIT = 20, "2m"


class ResticError(Exception):
    """restic failed. The text is one line for a teacher; ``code`` is restic's exit code."""

    def __init__(self, line: str, code: int) -> None:
        super().__init__(line)
        self.code = code


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

    def run(self, *arguments: str, accept: tuple[int, ...] = ()) -> subprocess.CompletedProcess[bytes]:
        """Run one command. Exit code 0 and those in ``accept`` count as success.

        A stale lock is removed and the command tried again. Raises ResticError.
        """
        for _ in range(self._lock_tries):
            done = self._once(*arguments)
            if code_of(done) != LOCKED:
                break
            # Removes locks of dead processes on this host and locks without a refresh for 30 minutes. Others stay.
            self._once("unlock")
        if done.returncode and done.returncode not in accept:
            raise self.error(done)
        return done

    def run_watched(
        self, *arguments: str, accept: tuple[int, ...], look: Callable[[], bool], every: float
    ) -> subprocess.CompletedProcess[bytes] | None:
        """Like ``run``, but calls ``look`` every so many seconds. If that is true, it ends restic and returns None."""
        for _ in range(self._lock_tries):
            done = self._watched(arguments, look, every)
            if done is None or code_of(done) != LOCKED:
                break
            self._once("unlock")
        if done and done.returncode and done.returncode not in accept:
            raise self.error(done)
        return done

    def _watched(
        self, arguments: tuple[str, ...], look: Callable[[], bool], every: float
    ) -> subprocess.CompletedProcess[bytes] | None:
        argv = self.argv(*arguments)
        with subprocess.Popen(
            argv,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            try:
                while True:
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        out, err = process.communicate(timeout=every)
                        return subprocess.CompletedProcess(argv, process.returncode, out, err)
                    if look():
                        # restic removes its lock.
                        process.send_signal(signal.SIGINT)
                        with contextlib.suppress(subprocess.TimeoutExpired):
                            process.communicate(timeout=60)
                        return None
            finally:
                if process.poll() is None:
                    process.kill()

    def error(self, done: subprocess.CompletedProcess[bytes]) -> ResticError:
        """The error for a command that failed."""
        return ResticError(self._why(done), code_of(done))

    def argv(self, *arguments: str) -> list[str]:
        """The command line. It contains no secret."""
        options = [part for option in self.target.options for part in ("-o", option)]
        common = ["--cache-dir", str(self._cache), "--retry-lock", self._lock_wait, *options]
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

    def _once(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            self.argv(*arguments),
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )

    def _why(self, done: subprocess.CompletedProcess[bytes]) -> str:
        known = {
            NO_REPOSITORY: "there is no repository",
            LOCKED: "another host has the repository locked",
            WRONG_PASSWORD: "the repository there was made with another password",
        }
        code = code_of(done)
        if code in known:
            return f"{self.target.name}: {known[code]}"
        lines = [line for line in done.stderr.decode(errors="replace").splitlines() if line.strip()]
        fatal = [line for line in lines if line.startswith("Fatal: ")]
        last = (fatal or lines or [f"exit {done.returncode}"])[-1]
        return f"{self.target.name}: {last.removeprefix('Fatal: ')[:300]}"


def code_of(done: subprocess.CompletedProcess[bytes]) -> int:
    """The exit code. For a restic older than 0.17 the messages are mapped to the codes of newer versions."""
    if done.returncode != 1:
        return done.returncode
    if b"repository is already locked" in done.stderr or b"unable to create lock" in done.stderr:
        return LOCKED
    if b"wrong password or no key found" in done.stderr:
        return WRONG_PASSWORD
    if b"Is there a repository at the following location?" in done.stderr:
        return NO_REPOSITORY
    return 1
