"""Two courses without a server, for verbs that change encrypted files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from runner.project import Project
from tests.support.projects import empty_project
from tests.support.typed import Ended, typed

COURSE = """\
#!yaml
course:
  title: "Physics 1"
  domain: phys1.example.edu
  contact: prof@example.edu
"""
PEOPLE = "  people:\n    professors: [{account: curie, name: M C}]\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    made = empty_project(tmp_path, monkeypatch)
    made.course_file("phys").write_text(COURSE)
    made.course_file("chem").write_text(COURSE + PEOPLE)
    return made


@pytest.fixture
def coursehub(project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    del project

    def run(*arguments: str, given: str | io.TextIOWrapper = "") -> Ended:
        monkeypatch.setattr("sys.stdin", io.StringIO(given) if isinstance(given, str) else given)
        ended = typed(monkeypatch, capsys, *arguments)
        assert "an error of coursehub's own" not in ended.err
        return ended

    return run
