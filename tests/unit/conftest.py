"""What several unit tests share."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import runner.access
from runner.project import Project
from tests.support.environments import python_of
from tests.support.local_api import TOKEN, Api, served
from tests.support.typed import Ended, typed

REPO = Path(__file__).resolve().parents[2]
HUB_LOCK = REPO / "formulas/jupyterhub/files/hub.txt"


@pytest.fixture(scope="session")
def hub_python(tmp_path_factory):
    """The Python of an environment with exactly what the hub runs."""
    return python_of(HUB_LOCK, tmp_path_factory.mktemp("hub"))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A working copy whose only course goes to DigitalOcean."""
    root = tmp_path / "root"
    for part in ("pillar", "formulas/course_env"):
        shutil.copytree(REPO / part, root / part)
    text = (REPO / "pillar/courses/demo.sls").read_text(encoding="utf-8")
    (root / "pillar/courses/demo.sls").unlink()
    (root / "pillar/courses/phys.sls").write_text(
        text.replace("cloud: local ", "cloud: digitalocean ").replace("engr114", "phys"), encoding="utf-8"
    )
    shutil.move(root / "pillar/files/locks/demo.txt", root / "pillar/files/locks/phys.txt")
    monkeypatch.setenv("COURSEHUB_ROOT", str(root))
    monkeypatch.delenv("DIGITALOCEAN_ACCESS_TOKEN", raising=False)
    return Project(root)


@pytest.fixture
def api(tmp_path: Path, project: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """The account that the token opens, in which nothing listens behind a droplet's address."""
    del project
    (tmp_path / "api").mkdir()
    with served(tmp_path / "api") as running:
        monkeypatch.setenv("DIGITALOCEAN_END_POINT", f"{running.url}/v2/")
        monkeypatch.setenv("DIGITALOCEAN_ACCESS_TOKEN", TOKEN)
        monkeypatch.setattr(running.machines, "address", lambda _slot: "127.0.0.9")
        monkeypatch.setattr(runner.access, "SSH_SECONDS", 0.2)
        yield running


@pytest.fixture
def coursehub(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    def run(*arguments: str) -> Ended:
        return typed(monkeypatch, capsys, *arguments)

    return run


