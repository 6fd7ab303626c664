"""What a backup notes about its targets: nothing is lost, and no failure counts for longer than it lasts."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

import pytest
from coursehub_backup import saving, state, watching
from coursehub_backup.config import Config, Target
from coursehub_backup.restic import ResticError

from tests.support.backups import config_of

pytestmark = pytest.mark.unit


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    for module in (state, saving):
        monkeypatch.setattr(module, "STATE", tmp_path)
    return config_of(tmp_path, Target("volume", "/nowhere"), hours=(7, 23))


class Restic:
    """A target at which the commands in ``fails`` fail."""

    def __init__(self, config: Config) -> None:
        self.target, self.fails, self.calls = config.targets[0], set[str](), list[str]()

    def run(self, *arguments: str, **_: Any) -> None:
        self.calls.append(arguments[0])
        if arguments[0] in self.fails:
            raise ResticError("volume: it is away", 1)


def known() -> dict[str, Any]:
    found: dict[str, Any] = state.read()["targets"]["volume"]
    return found


def test_backup_that_ends_during_an_alert_is_noted(config: Config) -> None:
    """A webhook may take half a minute to answer."""
    state.note("volume", ok=time.time() - 7200, error="volume: gone")

    def slow(_config: Config, _message: dict[str, Any]) -> list[str]:
        state.note("volume", ok=time.time(), error=None)
        return []

    assert watching.watch(config, slow)
    assert known()["error"] is None and known()["ok"] > time.time() - 60


def test_failed_prune_counts_until_the_next_backup(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next check of the data may be due only in days, and until then an alert would come every day."""
    monkeypatch.setattr(saving, "_set_future_apart", lambda _: None)
    restic = Restic(config)
    assert saving._tend(config, restic)
    state.note("volume", pruned=0)
    restic.fails = {"forget"}
    assert not saving._tend(config, restic)
    assert known()["damage"] == "volume: it is away"
    restic.fails, restic.calls = set(), []
    assert saving._tend(config, restic)
    assert restic.calls == ["forget", "check"]
    assert known()["damage"] is None
    # All is well again: neither is due.
    assert saving._tend(config, restic) and len(restic.calls) == 2


def test_homes_are_saved_without_a_copy_of_the_database(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The place of the copies cannot be written; what is wrong is noted at the target."""
    database = tmp_path / "hub.sqlite"
    database.touch()
    config = dataclasses.replace(config, databases=(str(database),))
    saved: list[str | None] = []

    def copy(*_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(saving, "copy_database", copy)
    monkeypatch.setattr(saving, "save", lambda _config, _restic, damaged: bool(saved.append(damaged)))
    assert not saving.run(config)
    assert len(saved) == 1 and "Permission denied" in str(saved[0])
