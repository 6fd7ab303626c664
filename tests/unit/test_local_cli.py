"""`coursehub local` while no cloud runs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from runner.cli import local as cli
from runner.errors import CoursehubError
from runner.local import host
from runner.project import Project
from runner.verbs.converge import would_make

pytestmark = pytest.mark.unit


def test_status_and_stop_of_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "project", lambda: SimpleNamespace(state=tmp_path / "never"))
    commands = cli.commands
    shown = CliRunner().invoke(commands, ["status", "--json"])
    assert json.loads(shown.stdout) == {"running": False, "endpoint": None, "machines": []}
    assert CliRunner().invoke(commands, ["status"]).stdout == "local cloud: not running\n"
    assert CliRunner().invoke(commands, ["stop"]).exit_code == 0


def test_start_where_it_cannot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(cli, "project", lambda: SimpleNamespace(state=tmp_path))
    done = CliRunner().invoke(cli.commands, ["start"])
    assert isinstance(done.exception, CoursehubError)
    assert "DIGITALOCEAN_ACCESS_TOKEN" in str(done.exception)
    assert not (tmp_path / "cloud").exists()


def test_plan_of_a_trial_starts_no_local_cloud(tmp_path: Path) -> None:
    """It says what `up` makes, although nothing runs that could be asked."""
    shutil.copytree(Path(__file__).resolve().parents[2] / "pillar", tmp_path / "pillar")
    made = would_make(Project(tmp_path), "demo")
    assert made.startswith("up makes s-4vcpu-8gb with debian-13-x64 on this computer and points engr114.")
    assert made.endswith("; it costs nothing")
    assert not (tmp_path / ".coursehub" / "cloud").exists()
