"""A project of the test's own, for verbs that read and write course files."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.project import Project


def empty_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project without courses, which the command line finds; its key directory is empty."""
    monkeypatch.setenv("COURSEHUB_KEYS", str(tmp_path / "keys"))
    monkeypatch.setenv("COURSEHUB_ROOT", str(tmp_path / "root"))
    made = Project(tmp_path / "root")
    made.courses.mkdir(parents=True)
    return made
