"""Follows a highstate on the server while it runs, over an SSH connection that salt-ssh then shares."""

from __future__ import annotations

import contextlib
import shlex
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from runner.errors import CoursehubError
from runner.saltssh import shipped
from runner.saltssh.progress import SHIPPED_STATES, Story
from runner.servers.access import THIN_DIR, Access, is_silence, ssh_error

#: Seconds until a highstate is given up; a new server needs about 60.
HIGHSTATE_SECONDS = 1800
#: Seconds until the server must have answered; a server without free memory answers slowly.
FIRST_WORD_SECONDS = 90
#: The script that runs on the server, and its arguments. salt/config/master enables the log that it reads.
_WATCH = Path(__file__).with_name("watch.sh").read_text(encoding="utf-8")
_GIVEN = (THIN_DIR, shipped.BESIDE, SHIPPED_STATES)

#: Called with the number of started states, the number of all states (0: not known yet), and the name of the last one.
Watcher = Callable[[int, int, str], None]


@contextlib.contextmanager
def watched(access: Access, ip: str, watch: Watcher) -> Iterator[Tail]:
    """Follow the server's log of states while the block runs, over a connection that salt-ssh then shares."""
    tail = Tail(access, ip, watch)
    try:
        if tail.found_nobody():
            tail.end()
            # The server boots, after a crash or a power cut. Wait, so that nobody must run the command again.
            access.wait_for_ssh(ip, lambda text: watch(0, 0, text))
            tail = Tail(access, ip, watch)
        tail.wait_ready()
        yield tail
    finally:
        tail.end()


class Tail:
    """One connection that waits for an earlier highstate to end, and then follows the server's log of states."""

    def __init__(self, access: Access, ip: str, watch: Watcher) -> None:
        self._access, self._ip, self._watch = access, ip, watch
        self._said = ""
        #: What salt-ssh shipped; None until the server reports it, or if it never does.
        self.shipped: shipped.Sums | None = None
        self._heard = threading.Event()
        self._ready = threading.Event()
        self._process = subprocess.Popen(
            access.argv(ip, "/bin/sh", "-c", *map(shlex.quote, (_WATCH, "watch", *_GIVEN)), share=True),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._follow, daemon=True)
        self._reader.start()

    def found_nobody(self) -> bool:
        """Whether no SSH server answered at all, as while a machine boots.

        Raises CoursehubError if one accepted and sent nothing.
        """
        deadline = time.monotonic() + FIRST_WORD_SECONDS
        while not self._heard.wait(0.05):
            if time.monotonic() > deadline:
                raise CoursehubError(
                    f"{self._access.course_id}: the server at {self._ip} takes SSH connections but has said nothing "
                    f"for {FIRST_WORD_SECONDS} s; look at its load in the control panel, or switch it off there and "
                    f"run 'coursehub up {self._access.course_id}'"
                )
            if self._process.poll() is not None:
                self._said = self._process.stderr.read() if self._process.stderr else ""
                return is_silence(self._said)
        return False

    def wait_ready(self) -> None:
        """Wait until no other highstate runs.

        Raises CoursehubError if the connection breaks or the other one never ends.
        """
        deadline = time.monotonic() + HIGHSTATE_SECONDS
        while not self._ready.wait(0.05):
            if self._process.poll() is not None:
                said = self._process.stderr.read() if self._process.stderr else ""
                raise ssh_error(self._access.course_id, self._ip, said or self._said)
            if time.monotonic() > deadline:
                raise CoursehubError(
                    f"{self._access.course_id}: an earlier highstate still runs on the server after "
                    f"{HIGHSTATE_SECONDS // 60} minutes; look with 'coursehub ssh {self._access.course_id}'"
                )

    def broke(self) -> bool:
        """Whether the connection ended before we closed it."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(0.2)
        return self._process.returncode is not None

    def end(self) -> None:
        """Close the connection. It may be called more than once."""
        self._process.terminate()
        self._process.wait()
        self._reader.join(timeout=5)

    def _follow(self) -> None:
        story = Story()
        for line in self._process.stdout or ():
            self._heard.set()
            if line == "ready\n":
                self._ready.set()
            elif line.startswith("sums "):
                # The number of words differs if something else runs on the server at the same time.
                sums = line.split()[1:]
                self.shipped = shipped.Sums(*sums) if len(sums) == 2 else None
            elif line == "busy\n":
                self._watch(0, 0, "waiting for an earlier run to end on the server")
            elif started := story.read(line):
                self._watch(story.count, story.total, started)
