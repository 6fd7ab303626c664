"""A way back that stops half-way: the database always belongs to the hub that is there."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from coursehub_upgrade import database, guard, main, phase, trees, version
from coursehub_upgrade.config import Config
from coursehub_upgrade.programs import UpgradeError

from tests.support.upgrades import NEW, OLD, config, guarded, install, programs, served

__all__ = ["config", "programs"]

pytestmark = [pytest.mark.unit, pytest.mark.usefixtures("programs")]


@pytest.fixture
def newer(config: Config) -> Config:
    """A server whose new version migrated the database; Bob signed in, and has something that only it can store."""
    version.save(config)
    install(config, "new")
    with sqlite3.connect(config.database) as db:
        db.execute("ALTER TABLE users ADD COLUMN display TEXT")
        db.execute("UPDATE alembic_version SET version_num = 'two'")
        db.execute("INSERT INTO users (name, cookie_id, display) VALUES ('bob', 'c7', 'Bob')")
    return config


def people(config: Config) -> list[str]:
    with sqlite3.connect(config.database) as db:
        return [row[0] for row in db.execute("SELECT name FROM users ORDER BY name")]


def breaks(monkeypatch: pytest.MonkeyPatch, path: Path, error: BaseException) -> None:
    """Let the write of this path end with the error."""

    def mirror(source: Path, target: Path, *rest: Any, **known: Any) -> bool:
        if target == path:
            raise error
        return real(source, target, *rest, **known)

    real = trees.mirror
    monkeypatch.setattr(trees, "mirror", mirror)
    monkeypatch.setattr(version, "mirror", mirror)


def test_newer_hub_that_serves_on_keeps_its_database(newer: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would migrate an older one again, without what only it can store."""
    with monkeypatch.context() as bad:
        breaks(bad, newer.hub, OSError(errno.EIO, "Input/output error"))
        with pytest.raises(UpgradeError, match="so the hub serves with what is there"):
            version.put_back(newer, "a test")
    assert (newer.hub / "hub/current").resolve().name == "new"
    assert database.revision(newer.database) == "two"
    with sqlite3.connect(newer.database) as db:
        assert db.execute("SELECT display FROM users WHERE name = 'bob'").fetchall() == [("Bob",)]
    assert [path.name for path in newer.database.parent.iterdir()] == [newer.database.name]
    version.put_back(newer, "once more")
    assert served(newer) == OLD
    assert database.revision(newer.database) == "one" and people(newer) == ["ada", "bob"]


def test_older_hub_that_serves_has_the_older_database(newer: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another file did not come back. It could not start with the newer database."""
    with monkeypatch.context() as bad:
        breaks(bad, newer.saved[2], OSError(errno.EIO, "Input/output error"))
        with pytest.raises(UpgradeError, match="Input/output error"):
            version.put_back(newer, "a test")
    assert (newer.hub / "hub/current").resolve().name == "old"
    assert database.revision(newer.database) == "one" and people(newer) == ["ada", "bob"]


def test_half_a_way_back_says_who_signs_in_again(newer: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    with sqlite3.connect(newer.database) as db:
        db.execute("DROP TABLE spawners")
    breaks(monkeypatch, newer.saved[2], OSError(errno.EIO, "Input/output error"))
    with pytest.raises(UpgradeError, match="who signed in since the upgrade must sign in again"):
        version.put_back(newer, "a test")


def test_power_cut_between_files_and_database(newer: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """The boot ends the way back before a hub starts."""
    with monkeypatch.context() as power:
        breaks(power, newer.saved[3], SystemExit())
        with pytest.raises(SystemExit):
            version.put_back(newer, "a test")
    assert served(newer) == OLD and database.revision(newer.database) == "two"
    guard.mend(newer, booting=True)
    assert database.revision(newer.database) == "one" and people(newer) == ["ada", "bob"]
    assert phase.read(newer.place)[0] == phase.IDLE


def test_database_that_is_spoilt_is_replaced(newer: Config) -> None:
    """Perhaps the new version spoilt it. The copy from before the switch is better than no hub."""
    newer.database.write_bytes(b"not a database" * 1000)
    assert "sign in again" in version.put_back(newer, "a test")["lost"]
    assert served(newer) == OLD and people(newer) == ["ada"]


@pytest.mark.parametrize("word", ["keep", "back no kernel"])
def test_disk_has_all_before_the_upgrade_counts_as_ended(
    config: Config, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    """After a power cut nobody writes the files again that the disk did not have yet."""
    found: list[str] = []

    def quietly(argv: Any, *_: Any) -> bool:
        if argv[0] == "sync":
            found.append(" ".join((phase.read(config.place)[0], (config.hub / "hub/current").resolve().name)))
            assert {config.place, config.hub, config.saved[2]} <= set(argv)
        return True

    monkeypatch.setattr(version, "quietly", quietly)
    read, write = os.pipe()

    def speak() -> None:
        install(config, "new")
        os.write(write, f"{word}\n".encode())
        os.close(write)

    guarded(config, read, speak)
    assert found == (["switching new"] if word == "keep" else ["back old"])
    assert phase.read(config.place)[0] == phase.IDLE
    assert served(config) == (NEW if word == "keep" else OLD)


def test_note_of_the_way_back_is_whole(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of it would end each later upgrade at its first look."""
    version.save(config)
    install(config, "new")

    def full(path: Path, *_: Any, **__: Any) -> int:
        path.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    version.put_back(config, "a test")
    assert json.loads(config.went_back.read_text())["reason"] == "a test"
    assert main.look(config)["went_back"]["reason"] == "a test"
