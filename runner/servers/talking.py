"""A conversation with a program on a server, over one SSH connection: lines of JSON from it, words to it."""

from __future__ import annotations

import contextlib
import json
import shlex
import subprocess
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

from runner.errors import CoursehubError
from runner.servers.access import Access, ssh_error

#: Seconds between two words that only say that this computer is still there.
BEAT = 5.0
_SSH_FAILED = 255


class Talk:
    """One program on the server, from its start to its last answer.

    It runs as a systemd unit, so it ends its work even if the connection or this computer fails. ``progress`` gets the
    lines that begin with "now".
    """

    def __init__(self, access: Access, ip: str, unit: str, command: list[str], *, after: str = "") -> None:
        """``after`` is a command that the unit runs when it ends, however it ends."""
        self._access, self._ip = access, ip
        # It may have to wait until states end, for longer than systemd's usual 90 s.
        after_it = [f"--property=ExecStopPost={after}", "--property=TimeoutStopSec=45min"] if after else []
        words = ["systemd-run", "--quiet", "--pipe", "--wait", "--collect", f"--unit={unit}", *after_it, "--", *command]
        self._process = subprocess.Popen(
            access.argv(ip, shlex.join(words)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._beats = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Talk:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        with contextlib.suppress(OSError):
            self._process.stdin.close()  # type: ignore[union-attr]
        if self._process.poll() is None:
            self._process.terminate()
        self._process.wait()

    def keep_alive(self) -> None:
        """Say from now on, every few seconds, that this computer is still there."""
        self._beats.start()

    def _beat(self) -> None:
        while not self._ended.wait(BEAT):
            with contextlib.suppress(OSError, ValueError):
                self.say("alive")

    def say(self, line: str) -> None:
        """Send one line. Raises OSError if the connection is gone."""
        with self._lock:
            print(" ".join(line.split()), file=self._process.stdin, flush=True)

    def hear(self, progress: Callable[[str], None]) -> dict[str, Any]:
        """Wait for the next answer. Raises CoursehubError if the connection or the program ends without one."""
        for line in self._process.stdout or ():
            if line.startswith("now "):
                progress(line.removeprefix("now ").strip())
            elif line.startswith("{"):
                answer: dict[str, Any] = json.loads(line)
                return answer
        said = self._process.stderr.read() if self._process.stderr else ""
        if self._process.wait() == _SSH_FAILED:
            raise ssh_error(self._access.course_id, self._ip, said)
        last = (said.strip().splitlines() or ["it gave no answer"])[-1]
        raise CoursehubError(f"{self._access.course_id}: the server's program ended: {last}")
