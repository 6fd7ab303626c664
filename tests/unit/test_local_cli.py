"""`coursehub local` while no cloud runs."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from runner.cli import local as cli
from runner.errors import CoursehubError
from runner.local import host

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
