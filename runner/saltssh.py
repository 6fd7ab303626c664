"""Salt by SSH: the command lines are built here (pure), run here, and watched while they run."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from runner import results, shipped
from runner.access import THIN_DIR, Access, is_host_key_refusal, is_silence, ssh_error
from runner.errors import CoursehubError
from runner.progress import SHIPPED_STATES, Story
from runner.project import Project
from runner.scratch import scratch
from runner.secrets import unlocked

#: Seconds that a highstate may take before it is given up; a fresh server needs about a minute.
HIGHSTATE_SECONDS = 1800
#: The exit code of OpenSSH when it is not the remote command that failed.
_SSH_FAILED = 255
#: Room that salt-ssh itself needs on the server: its own code, the states and what they bring.
FULL_MEGABYTES = 50
#: salt.state's own log on the server, switched on in salt/config/master: one line when a state starts.
_PROGRESS_LOG = f"{THIN_DIR}/running_data/highstate.log"
#: First waits for a highstate that a broken connection left running (two at once would fight over apt) and says
#: "ready"; then prints each line of that log as it comes and, before the first, which states salt-ssh shipped and the
#: sums of what it shipped, the package's as the running call itself was told it. It ends when the runner's end of the
#: connection does, however that comes.
_WATCH = f"""
umask 077
calls() {{
    # Of root only: a student could give a process of theirs the same name.
    find /proc -maxdepth 1 -name "[0-9]*" -user root -printf "%p/cmdline\\n" | xargs grep -ls "{THIN_DIR}/salt-cal[l]"
}}
while calls | grep -q .; do echo busy; sleep 1; done
rm -f {_PROGRESS_LOG}
echo ready
{{
    # Where the kernel gives it no news of a file it looks: once a second is too late for a highstate of two.
    tail -n +1 -s 0.2 -F {_PROGRESS_LOG} 2>/dev/null & tail=$!
    cat >/dev/null
    kill $tail
    rm -f {_PROGRESS_LOG}
}} | grep --line-buffered "^Running state" | while read -r line; do
    if [ -z "$told" ]; then
        sum=$(calls | xargs cat 2>/dev/null | tr "\\000" "\\n" | sed -n "s/^pkg_sum=//p" | sort -u)
        echo sums $sum $({shipped.BESIDE})
        tar -xzOf {shipped.PACKAGE} lowstate.json 2>/dev/null | {SHIPPED_STATES} 2>/dev/null
        told=yes
    fi
    echo "$line"
done
"""

#: Called with how many states have started, of how many (0: not known yet), and what the last one is.
Watcher = Callable[[int, int, str], None]


def argv(course_id: str, function: str, *arguments: str) -> list[str]:
    """The salt-ssh command line for one course; the Saltfile of the working directory does the rest."""
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
    """Apply the course's states (``sls``: only these), or with ``test`` say what that would change.

    ``watch`` hears of each state as it starts. Raises CoursehubError when Salt gave no usable report; a
    state that failed is in the report.
    """
    access = Access(project, course_id)
    with unlocked(project, course_id), _watched(access, ip, watch) as tail:
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
    # A file that was saved while Salt read them may be in the package or not.
    if rendered_from and not report.failed and shipped.inputs(project, course_id) == rendered_from:
        shipped.keep(access, rendered_from, tail.shipped)
    return report


def _run_shipped(access: Access, ip: str, script: str, tail: _Tail) -> results.Report | None:
    """Run what salt-ssh shipped last; None where that cannot be, for salt-ssh to do, and to say why not."""
    done = _in_time(access.course_id, access.argv(ip, "/bin/sh", "-s"), input=script)
    try:
        return results.parse(access.course_id, done.stdout, done.stderr, minion="local")
    except CoursehubError as error:
        if done.returncode == _SSH_FAILED or done.returncode < 0:
            # What the server began may still run there: nothing else may begin beside it.
            raise _broken_off(access.course_id, ip) from error
        # States may have run of which the tail has told.
        tail.shipped = None
        return None


def _in_time(course_id: str, command: list[str], **how: Any) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=HIGHSTATE_SECONDS, check=False, **how)
    except subprocess.TimeoutExpired as error:
        raise CoursehubError(
            f"{course_id}: the highstate took more than {HIGHSTATE_SECONDS // 60} minutes; "
            "run the same command again: it goes on where it was"
        ) from error


def _broken_off(course_id: str, ip: str) -> CoursehubError:
    """The error of a connection that ended before the highstate did."""
    return CoursehubError(
        f"{course_id}: the connection to {ip} broke in the middle of the highstate; what the server began it ends by "
        f"itself, unless it went down; run 'coursehub apply {course_id}', which waits for that and does what is left"
    )


def _full(access: Access, ip: str) -> CoursehubError | None:
    """The error to tell instead when the server's disk is so full that salt-ssh could not even begin."""
    try:
        told = access.run(ip, "df --output=avail -m / /var/lib", seconds=20)
    except CoursehubError:
        return None
    if min(int(line) for line in told.split()[1:]) > FULL_MEGABYTES:
        return None
    return CoursehubError(
        f"{access.course_id}: the server's disk is full; make room there ('coursehub ssh {access.course_id}') or take "
        "a bigger size, then run the same command again"
    )


def _environment() -> dict[str, str]:
    # Salt must not find a teacher's own ~/.salt or SALT_* settings.
    return {key: value for key, value in os.environ.items() if not key.startswith("SALT_")}


@contextlib.contextmanager
def _watched(access: Access, ip: str, watch: Watcher) -> Iterator[_Tail]:
    """Follow the server's own log of states while the block runs, over a connection that salt-ssh then shares."""
    tail = _Tail(access, ip, watch)
    try:
        if tail.found_nobody():
            tail.end()
            # It boots, after a crash or a power cut: nobody need run the command again for that.
            access.wait_for_ssh(ip, lambda text: watch(0, 0, text))
            tail = _Tail(access, ip, watch)
        tail.wait_ready()
        yield tail
    finally:
        tail.end()


class _Tail:
    """One connection that waits for an earlier highstate to end and then follows the server's log of states."""

    def __init__(self, access: Access, ip: str, watch: Watcher) -> None:
        self._access, self._ip, self._watch = access, ip, watch
        self._said = ""
        #: What salt-ssh shipped; None while, or when, it was not told.
        self.shipped: shipped.Sums | None = None
        self._heard = threading.Event()
        self._ready = threading.Event()
        self._process = subprocess.Popen(
            access.argv(ip, "/bin/sh", "-c", f"'{_WATCH}'", share=True),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._follow, daemon=True)
        self._reader.start()

    def found_nobody(self) -> bool:
        """Whether no SSH server answered at all, as while a machine boots."""
        while not self._heard.wait(0.05):
            if self._process.poll() is not None:
                self._said = self._process.stderr.read() if self._process.stderr else ""
                return is_silence(self._said)
        return False

    def wait_ready(self) -> None:
        """Wait until no other highstate runs. Raises CoursehubError when the connection breaks or it never ends."""
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
        """Close the connection; safe to repeat."""
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
                # More or fewer when something else runs on the server at the same time.
                sums = line.split()[1:]
                self.shipped = shipped.Sums(*sums) if len(sums) == 2 else None
            elif line == "busy\n":
                self._watch(0, 0, "waiting for an earlier run to end on the server")
            elif started := story.read(line):
                self._watch(story.count, story.total, started)
