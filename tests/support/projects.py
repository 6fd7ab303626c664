"""A project of the test's own, for verbs that read and write course files."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from runner.project import Project
from tests.support.sandbox import REPO


def empty_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project without courses, which the command line finds; its key directory is empty."""
    monkeypatch.setenv("COURSEHUB_KEYS", str(tmp_path / "keys"))
    monkeypatch.setenv("COURSEHUB_ROOT", str(tmp_path / "root"))
    made = Project(tmp_path / "root")
    made.courses.mkdir(parents=True)
    return made


def phys(root: Path, *more: str) -> Project:
    """A working copy whose only course, ``phys``, goes to DigitalOcean; with ``more`` parts of the repository."""
    for part in ("pillar", "formulas/course_env", *more):
        shutil.copytree(REPO / part, root / part, dirs_exist_ok=True)
    demo = root / "pillar/courses/demo.sls"
    text = demo.read_text(encoding="utf-8").replace("cloud: local ", "cloud: digitalocean ")
    demo.unlink()
    (root / "pillar/courses/phys.sls").write_text(text.replace("engr114", "phys"), encoding="utf-8")
    shutil.move(root / "pillar/files/locks/demo.txt", root / "pillar/files/locks/phys.txt")
    return Project(root)
