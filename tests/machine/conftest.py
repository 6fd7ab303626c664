"""Fixtures of the machine tests alone."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.hub import Hub
from tests.support.machine import course, fresh_server, kill_with_children
from tests.support.rebuilt import Rebuilt, rebuild
from tests.support.sandbox import Sandbox

#: Seconds that another program holds dpkg's lock (fault 15), and how many more are allowed on a slow host.
LOCKED, AT_MOST_MORE = 180, 300
#: On the server: the test no longer needs the lock.
LET_GO = "/run/let-go"


@dataclass
class Held:
    """What happened, step by step, to a course whose server's dpkg was busy for three minutes."""

    first: subprocess.Popen[str]
    second: subprocess.CompletedProcess[str]
    packed: list[Path]
    """What the first had packed and nobody took away when it was killed."""
    went_on: bool
    cut: subprocess.CompletedProcess[str]
    waited: bool
    third: subprocess.CompletedProcess[str]
    again: dict[str, Any]
    lock_ended: float
    third_ended: float
    journal: str


@dataclass
class Story:
    """Creates ``Held`` while other tests run: nearly all of it is waiting."""

    sandbox: Sandbox
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def end(self) -> None:
        """Nobody needs the result any more."""
        for process in self.started:
            if process.poll() is None:
                kill_with_children(process)

    def popen(self, *arguments: str) -> subprocess.Popen[str]:
        self.started.append(self.sandbox.popen(*arguments))
        return self.started[-1]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        process = self.popen(*arguments)
        stdout, stderr = process.communicate(timeout=600)
        return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)

    @staticmethod
    def until_told(process: subprocess.Popen[str], words: str) -> str:
        """Read the lines of progress until one contains ``words``; return them."""
        assert process.stderr is not None
        said = ""
        # pytest's own time limit ends this; a verb says something at least every few seconds, or ends.
        for line in process.stderr:
            said += line
            if words in line:
                return said
        raise AssertionError(f"{words!r} was never told: {said}")

    def tell(self) -> Held:
        self.sandbox.lighten(course(self.sandbox, "locked"))
        machine = fresh_server(self.sandbox, "locked")
        machine.run(
            f"""
            systemd-run --quiet --unit=somebody-elses-apt python3 -c '
import fcntl, pathlib, time
lock = open("/var/lib/dpkg/lock-frontend", "a")
fcntl.lockf(lock, fcntl.LOCK_EX)
time.sleep({LOCKED})
end = time.monotonic() + {AT_MOST_MORE}
while time.monotonic() < end and not pathlib.Path("{LET_GO}").exists():
    time.sleep(0.1)'
            """
        )
        lock_ends = time.monotonic() + LOCKED
        first = self.popen("up", "locked")
        machine.wait_in_highstate(first, lambda states: "uv-packages" in states)
        second = self.run("apply", "locked")
        kill_with_children(first)
        packed = list((self.sandbox.project.state / "scratch").glob("*/__salt.tmp.*"))
        time.sleep(3)
        went_on = machine.salt_runs()

        waiting = self.popen("up", "locked")
        # Not earlier: an `up` that has no SSH yet waits longer for it than this test.
        said = self.until_told(waiting, "waiting for an earlier run")
        waited = waiting.poll() is None and machine.salt_runs()
        with machine.cut_ssh():
            stdout, stderr = waiting.communicate(timeout=120)
        cut = subprocess.CompletedProcess(waiting.args, waiting.returncode, stdout, said + stderr)
        waited = waited and machine.salt_runs()
        waited = waited and machine.run("systemctl is-active somebody-elses-apt || true").strip() == "active"
        machine.run(f"touch {LET_GO}")

        third = self.run("up", "locked", "--json")
        third_ended = time.monotonic()
        again = self.sandbox.json("apply", "locked")["courses"]["locked"]
        journal = machine.run("journalctl -u somebody-elses-apt --no-pager")
        self.sandbox.json("down", "locked", "--yes")
        return Held(first, second, packed, went_on, cut, waited, third, again, lock_ends, third_ended, journal)


@pytest.fixture(scope="session")
def rebuilt(hub: Hub) -> Rebuilt:
    """A course after up, down and up. ``hub`` keeps the local cloud, and with it the authority, running in between."""
    return rebuild(hub.sandbox)


@pytest.fixture(scope="session")
def held_in_background(sandbox: Sandbox, request: pytest.FixtureRequest) -> Iterator[Future[Held] | None]:
    """The run, started with the first test beside which it may run; None if no test needs its result."""
    if not any("held" in getattr(item, "fixturenames", ()) for item in request.session.items):
        yield None
        return
    story = Story(sandbox)
    with ThreadPoolExecutor(max_workers=1) as pool:
        future = pool.submit(story.tell)
        yield future
        if not future.done():
            story.end()


@pytest.fixture
def held(held_in_background: Future[Held] | None) -> Held:
    """The result of the run."""
    assert held_in_background is not None
    return held_in_background.result(timeout=900)
