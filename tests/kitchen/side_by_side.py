"""Runs the wrapper on several instances side by side, while pytest waits for one after another."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from runner import local
from runner.project import Project
from tests.kitchen.wrapper import config
from tests.kitchen.wrapper.__main__ import ROOT

INSTANCES = config.load(ROOT / "tests" / "kitchen" / "kitchen.yml", ROOT)
#: Simultaneous instances, besides the other processes of the machine suites.
AT_ONCE = 2
#: Seconds for one instance from create to destroy, on a busy machine.
SECONDS = 1200


def aggregates(instance: config.Instance) -> bool:
    """Whether its highstate aggregates package installations: on one platform, never for the hub (test_suites.py)."""
    return instance.platform == "debian-12" and instance.suite != "hub"


def case_id(instance: config.Instance) -> str:
    """The test's id in pytest."""
    return instance.name if aggregates(instance) else f"{instance.name}-without-aggregate"


#: What a run of all suites has: formulas that install little. A hub of tests/machine has all formulas.
SHORT = {("accounts", "debian-13"), ("firewall", "debian-13"), ("homes", "debian-13")}
CASES = [
    pytest.param(one, id=case_id(one), marks=[] if (one.suite, one.platform) in SHORT else [pytest.mark.long])
    for one in INSTANCES
]


@dataclass
class Run:
    """Runs of the wrapper, one instance in each of several threads."""

    state: Path
    keep: bool
    """Whether machines of failed instances stay."""
    processes: list[subprocess.Popen[str]] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)

    def test(self, instance: config.Instance) -> tuple[int, str]:
        """Destroy, create, converge, verify: the exit code and the output."""
        aggregate = "--aggregate" if aggregates(instance) else "--no-aggregate"
        return self._wrapper(aggregate, "test", instance.name, "--destroy", "never")

    def destroy(self, instance: str) -> None:
        """Make room for the next one; the result is ignored, because the end of the run removes whatever is left."""
        self._wrapper("destroy", instance)

    def _wrapper(self, *arguments: str) -> tuple[int, str]:
        if self.stopped.is_set():
            return 1, "the test run ended before its turn"
        argv = [sys.executable, "-m", "tests.kitchen.wrapper", "--state", str(self.state), "--stay", *arguments]
        process = subprocess.Popen(
            argv, cwd=ROOT, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        self.processes.append(process)
        try:
            said, _ = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            said = process.communicate()[0] + f"\nnot ready within {SECONDS} s"
        return process.returncode, said

    def stop(self) -> None:
        """Stop what is still running."""
        self.stopped.set()
        for process in self.processes:
            if process.poll() is None:
                process.terminate()


@pytest.fixture(scope="session")
def runs(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[dict[str, Future[tuple[int, str]]]]:
    """All selected instances by name, side by side, the longest first."""
    chosen = [
        item.callspec.params["instance"]
        for item in request.session.items
        if getattr(item, "originalname", "") == "test_suite"
    ]
    keep = request.config.getoption("--keep")
    state = tmp_path_factory.mktemp("kitchen")
    if not chosen:
        yield {}
        return
    run = Run(state, keep)
    project = Project(state)
    local.ensure_running(project.state, print)
    # Deleting a machine keeps the disk busy for a long time, so nobody waits for it.
    pool, reaper = ThreadPoolExecutor(AT_ONCE), ThreadPoolExecutor(1)

    def work(instance: config.Instance) -> tuple[int, str]:
        outcome = run.test(instance)
        if outcome[0] == 0 or not run.keep:
            reaper.submit(run.destroy, instance.name)
        return outcome

    futures = {instance.name: pool.submit(work, instance) for instance in sorted(chosen, key=_long_first)}
    try:
        yield futures
    finally:
        try:
            run.stop()
            pool.shutdown(wait=True, cancel_futures=True)
            reaper.shutdown(wait=True, cancel_futures=True)
        finally:
            # Also if a second Ctrl-C ends the wait: nobody would find these machines in a test's directory.
            if keep and local.status(project.state).machines:
                print(f"\nkept: {sys.executable} -m tests.kitchen.wrapper --state {state} list")
                for config_file in sorted((project.state / "instances").glob("*.ssh")):
                    print(f"ssh -F {config_file} {config_file.stem}")
                print(f"at the end: {sys.executable} -m tests.kitchen.wrapper --state {state} destroy")
            else:
                local.stop(project.state, print)


def _long_first(instance: config.Instance) -> int:
    order = ("hub", "jupyterhub", "course_env", "letsencrypt", "nginx")
    return order.index(instance.suite) if instance.suite in order else len(order)
