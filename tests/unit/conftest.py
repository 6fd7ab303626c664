"""Fixtures that several unit tests share."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import runner.servers.access
from runner.project import Project
from tests.support.environments import python_of
from tests.support.lesson import DRIVER, FILES, Class, git
from tests.support.local_api import TOKEN, Api, served
from tests.support.projects import phys
from tests.support.typed import Ended, typed

REPO = Path(__file__).resolve().parents[2]
HUB_LOCK = REPO / "formulas/jupyterhub/files/hub.txt"


@pytest.fixture(scope="session")
def hub_python(tmp_path_factory):
    """The Python of an environment with exactly what the hub runs."""
    return python_of(HUB_LOCK, tmp_path_factory.mktemp("hub"))


@pytest.fixture(autouse=True)
def umask_is_kept() -> Iterator[None]:
    """A server's program that runs in this process sets its own umask, which other tests must not get."""
    before = os.umask(0o022)
    os.umask(before)
    yield
    os.umask(before)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A working copy whose only course goes to DigitalOcean."""
    root = tmp_path / "root"
    made = phys(root)
    monkeypatch.setenv("COURSEHUB_ROOT", str(root))
    monkeypatch.delenv("DIGITALOCEAN_ACCESS_TOKEN", raising=False)
    return made


@pytest.fixture
def empty_project(tmp_path: Path) -> Project:
    """A working copy without any course."""
    made = Project(tmp_path)
    made.courses.mkdir(parents=True)
    return made


@pytest.fixture
def api(tmp_path: Path, project: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """An account for the token; nothing listens at its droplets' addresses."""
    del project
    (tmp_path / "api").mkdir()
    with served(tmp_path / "api") as running:
        monkeypatch.setenv("DIGITALOCEAN_END_POINT", f"{running.url}/v2/")
        monkeypatch.setenv("DIGITALOCEAN_ACCESS_TOKEN", TOKEN)
        monkeypatch.setattr(running.machines, "address", lambda _slot: "127.0.0.9")
        monkeypatch.setattr(runner.servers.access, "SSH_SECONDS", 0.2)
        yield running


@pytest.fixture
def coursehub(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    def run(*arguments: str) -> Ended:
        return typed(monkeypatch, capsys, *arguments)

    return run


@pytest.fixture(scope="session")
def course_python(tmp_path_factory):
    """The Python of an environment with exactly what every course has."""
    return python_of(FILES / "base.txt", tmp_path_factory.mktemp("course"))


@pytest.fixture(scope="session")
def driver(course_python, tmp_path_factory):
    with subprocess.Popen(
        [course_python, "-c", DRIVER, str(FILES)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "LC_ALL": "C.UTF-8", "HOME": str(tmp_path_factory.mktemp("driver"))},
    ) as process:  # fmt: skip
        yield process
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture(scope="session")
def first_lesson(driver, tmp_path_factory):
    """The initial state of every lesson; making it takes dozens of processes, so it is made once."""
    made = Class(tmp_path_factory.mktemp("lesson"), driver)
    (made.root / "home").mkdir()
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(made.origin)], check=True)
    subprocess.run(["git", "clone", "-q", str(made.origin), str(made.teacher)], check=True, capture_output=True)
    git(made.teacher, "checkout", "-q", "-b", "main")
    made.publish({"lab1.py": "a = 1\nb = 2\nc = 3\nd = 4\n", "lab2.py": "x = 1\n", "data/points.csv": "1,2\n"})
    assert made.pull() == []
    return made.root


@pytest.fixture
def lesson(tmp_path, driver, first_lesson):
    made = Class(tmp_path, driver)
    shutil.copytree(first_lesson, tmp_path, symlinks=True, dirs_exist_ok=True)
    for copy in (made.teacher, made.student):
        at = git(copy, "remote", "get-url", "origin")
        assert str(first_lesson) in at
        git(copy, "remote", "set-url", "origin", at.replace(str(first_lesson), str(tmp_path)))
        # git identifies a known file by its inode too.
        git(copy, "update-index", "--refresh")
    return made
