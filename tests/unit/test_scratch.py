"""salt-ssh's package has the pillar in clear: it is deleted at the end of the run, or by the next run after a kill."""

from __future__ import annotations

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from runner.project import Project
from runner.saltssh.scratch import scratch, sweep
from tests.support.root import eventually

pytestmark = pytest.mark.unit


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_it_is_ours_alone_and_goes_with_the_run(project: Project) -> None:
    with scratch(project) as packing:
        (packing.directory / "salt_state.tgz").write_text("pillar")
        assert packing.directory.stat().st_mode & 0o777 == 0o700
        assert packing.directory.parent.stat().st_mode & 0o777 == 0o700
    assert not packing.directory.exists()


def test_it_goes_when_the_run_fails(project: Project) -> None:
    with pytest.raises(ValueError, match="failed"), scratch(project) as packing:
        raise ValueError("failed")
    assert not packing.directory.exists()


def test_two_runs_leave_each_other_alone(project: Project) -> None:
    with scratch(project) as one:
        (one.directory / "salt_state.tgz").write_text("pillar")
        with scratch(project) as other:
            assert one.directory != other.directory
        assert (one.directory / "salt_state.tgz").exists()


def test_many_runs_that_begin_and_end_at_once(project: Project) -> None:
    """As in ``apply --all``: it is no error if a run deletes its own directory while another looks at it."""

    def run(_: int) -> None:
        with scratch(project) as packing:
            assert packing.directory.is_dir()

    with ThreadPoolExecutor(4) as pool:
        assert len(list(pool.map(run, range(400)))) == 400


def test_what_is_not_ours_stays(project: Project) -> None:
    sweep(project)
    with scratch(project) as packing:
        other = packing.directory.parent / "note"
        other.write_text("")
    sweep(project)
    assert other.exists()


KILLED = """
import os, signal, subprocess, sys
from pathlib import Path
from runner.project import Project
from runner.saltssh.scratch import scratch
with scratch(Project(Path(sys.argv[1]))) as packing:
    (packing.directory / "salt_state.tgz").write_text("pillar")
    # What works there and outlives the runner ends with its own standard input.
    subprocess.Popen(["cat"], stdin=0, stdout=subprocess.DEVNULL, pass_fds=[packing.descriptor])
    print(packing.directory, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_leftovers_of_a_killed_run_go_unless_in_use(project: Project) -> None:
    runner = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(project.root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert runner.stdin is not None
    assert runner.stdout is not None
    packed = Path(runner.stdout.readline().strip()) / "salt_state.tgz"
    assert runner.wait(20) == -signal.SIGKILL
    with scratch(project):
        assert packed.exists()
    runner.stdin.close()

    def swept() -> bool:
        sweep(project)
        return not packed.parent.exists()

    eventually(swept)
