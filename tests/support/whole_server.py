"""A backup of one server, and another server onto which all of it is restored."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest
from coursehub_backup import accounts, report, saving, state, working
from coursehub_backup.config import Config
from coursehub_backup.numbers import Numbers
from coursehub_backup.restic import Restic

NEW, OLD, OLDER = "a" * 32, "b" * 32, "c" * 32


@pytest.fixture
def server(here: tuple[Config, Restic], root: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Config, Restic]:
    """A backup of another server with the home of nobody and a team; then this server, new, with other numbers.

    On this server ``nobody`` has the number 54321, and the old one's number is somebody else's.
    """
    config, restic = here
    team = root / "class/groups/red"
    team.mkdir(parents=True)
    (team / "plan.txt").write_text("plan")
    (team / "stolen").write_text("somebody else's")
    shutil.chown(team, "root", "users")
    shutil.chown(team / "plan.txt", "nobody", "users")
    shutil.chown(team / "stolen", "daemon", "daemon")
    config = dataclasses.replace(config, sources=(str(root / "home"), str(root / "class"), "/etc/passwd", "/etc/group"))
    config = dataclasses.replace(config, sources=(*config.sources, "/etc/shadow"), server=OLD)
    assert saving.save(config, restic, None)
    for directory in (root / "home/nobody", team):
        shutil.rmtree(directory)
        directory.mkdir(mode=0o700)
    now = Numbers({"nobody": 54321, "root": 0}, {"nobody": 1002, "users": 1003}, {"users": frozenset(["nobody"])})
    monkeypatch.setattr(Numbers, "here", classmethod(lambda _cls: now))
    # This computer has neither a hub nor accounts to change.
    monkeypatch.setattr(working, "servers", lambda _config, **_: [])
    monkeypatch.setattr(accounts, "restore", lambda *_arguments: 0)
    return dataclasses.replace(config, server=NEW), restic


def results() -> dict[str, str]:
    return {one["name"]: one["result"] for one in state.read(report.RECORD)["parts"]}
