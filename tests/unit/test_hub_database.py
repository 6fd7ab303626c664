"""A hub's database that is damaged or gone, before the hub starts."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from class_inside import database

pytestmark = pytest.mark.unit


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """The hub's database, and a copy that is a little older."""
    for name, people in (("hub.sqlite", 2000), ("copy", 1000)):
        with sqlite3.connect(tmp_path / name) as made:
            made.execute("CREATE TABLE users (name)")
            made.executemany("INSERT INTO users VALUES (?)", [(f"person {n}",) for n in range(people)])
        made.close()
    return tmp_path / "hub.sqlite", tmp_path / "copy"


def people(path: Path) -> int:
    return int(sqlite3.connect(path).execute("SELECT count(*) FROM users").fetchone()[0])


def test_good_database_is_left_alone(files: tuple[Path, Path]) -> None:
    before = files[0].stat()
    assert database.mend(*files) == ""
    assert (files[0].stat().st_ino, files[0].stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize("damage", ["first bytes", "middle", "half", "empty", "gone"])
def test_damaged_database_is_replaced_by_the_copy(damage: str, files: tuple[Path, Path]) -> None:
    path, copy = files
    content = path.read_bytes()
    middle = len(content) // 2
    bad = {
        "first bytes": b"x" * 16 + content[16:],
        "middle": content[:middle] + b"\xff" * 8192 + content[middle + 8192 :],
        "half": content[:middle],
        "empty": b"",
    }
    path.unlink() if damage == "gone" else path.write_bytes(bad[damage])
    path.with_name("hub.sqlite-wal").write_bytes(b"old")
    said = database.mend(path, copy)
    assert "took the place of hub.sqlite" in said
    assert people(path) == 1000
    assert path.stat().st_mode & 0o777 == 0o600
    kept = {one.name.partition(".damaged-")[0] for one in path.parent.glob("*.damaged-*")}
    assert ("hub.sqlite" in kept) == (damage != "gone")
    assert not path.with_name("hub.sqlite-wal").exists(), "SQLite would write it into the new one"
    assert database.mend(path, copy) == ""


@pytest.mark.parametrize("copied", ["none", "damaged"])
def test_without_a_good_copy_the_hub_begins_anew(copied: str, files: tuple[Path, Path]) -> None:
    path, copy = files
    path.write_bytes(b"nothing that SQLite knows")
    copy.unlink() if copied == "none" else copy.write_bytes(b"nor this")
    assert "is now hub.sqlite.damaged-" in database.mend(path, copy)
    assert not path.exists()


def test_database_in_use_is_no_damaged_one(files: tuple[Path, Path]) -> None:
    with sqlite3.connect(files[0]) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert database.is_good(files[0])
        other.rollback()


def test_unit_calls_it_with_both_paths(files: tuple[Path, Path]) -> None:
    path, copy = files
    path.write_bytes(b"nothing that SQLite knows")
    argv = [sys.executable, database.__file__, str(path), str(copy)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert "the copy of" in done.stderr
    assert people(path) == 1000
