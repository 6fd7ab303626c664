"""Every suite on every platform, by the wrapper, as a person would call it.

Order is not left to luck: the hub converges with ``state_aggregate`` (all packages in one transaction) and without;
of the formulas alone, one platform has it on and the other off.
"""

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

pytestmark = [pytest.mark.kitchen, pytest.mark.timeout(1800)]

INSTANCES = config.load(ROOT / "tests" / "kitchen" / "kitchen.yml", ROOT)
WITHOUT_AGGREGATE = "debian-13"
#: Instances at work at once: more than the cores, as each waits for the network half of its time.
AT_ONCE = 4
#: Seconds for one instance from nothing to nothing, on a machine that has other work too.
SECONDS = 1200


@dataclass(frozen=True)
class Case:
    """One instance, and whether its highstate joins package installations."""

    instance: str
    aggregate: bool

    def __str__(self) -> str:
        return self.instance if self.aggregate else f"{self.instance}-without-aggregate"


CASES = [Case(one.name, one.platform != WITHOUT_AGGREGATE or one.suite == "hub") for one in INSTANCES]
CASES += [Case(one.name, False) for one in INSTANCES if one.suite == "hub" and one.platform == WITHOUT_AGGREGATE]


@dataclass
class Run:
    """The wrapper at work on one instance's cases, one after another: they share its name in DNS."""

    state: Path
    ending: str
    processes: list[subprocess.Popen[str]] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)

    def test(self, case: Case) -> tuple[int, str]:
        """The exit code and everything that was said."""
        if self.stopped.is_set():
            return 1, "the test run ended before its turn"
        argv = [
            sys.executable, "-m", "tests.kitchen.wrapper", "--state", str(self.state), "--stay",
            "--aggregate" if case.aggregate else "--no-aggregate",
            "test", case.instance, "--destroy", self.ending,
        ]  # fmt: skip
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
        """End what is still at work."""
        self.stopped.set()
        for process in self.processes:
            if process.poll() is None:
                process.terminate()


@pytest.fixture(scope="session")
def runs(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[dict[Case, Future[tuple[int, str]]]]:
    """All selected cases, at work side by side; the longest first, and each instance's own in a row."""
    chosen = [
        item.callspec.params["case"]
        for item in request.session.items
        if getattr(item, "originalname", "") == "test_suite"
    ]
    keep = request.config.getoption("--keep")
    state = tmp_path_factory.mktemp("kitchen")
    run = Run(state, "passing" if keep else "always")
    project = Project(state)
    local.ensure_running(project.state, print)
    futures: dict[Case, Future[tuple[int, str]]] = {case: Future() for case in chosen}

    def work(instance: str) -> None:
        for case in chosen:
            if case.instance == instance:
                try:
                    futures[case].set_result(run.test(case))
                except Exception as error:
                    futures[case].set_exception(error)

    names = sorted({case.instance for case in chosen}, key=_long_first)
    pool = ThreadPoolExecutor(AT_ONCE)
    for name in names:
        pool.submit(work, name)
    try:
        yield futures
    finally:
        run.stop()
        pool.shutdown(wait=True, cancel_futures=True)
        if keep and local.status(project.state).machines:
            print(f"\nkept: {sys.executable} -m tests.kitchen.wrapper --state {state} list")
            for config_file in sorted((project.state / "instances").glob("*.ssh")):
                print(f"ssh -F {config_file} {config_file.stem}")
            print(f"at the end: {sys.executable} -m tests.kitchen.wrapper --state {state} destroy")
        else:
            local.stop(project.state, print)


def _long_first(instance: str) -> int:
    order = ("hub-debian-13", "hub", "jupyterhub", "course-env", "letsencrypt", "nginx")
    return next((place for place, name in enumerate(order) if instance.startswith(name)), len(order))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_suite(case: Case, runs: dict[Case, Future[tuple[int, str]]]) -> None:
    """Converges, the second time changes nothing, and its own tests pass."""
    code, said = runs[case].result()
    print(said)
    assert code == 0, said.splitlines()[-1:]
