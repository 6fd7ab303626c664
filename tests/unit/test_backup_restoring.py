"""Restores with a real restic: restored files are equal, and other people's files are left out."""

from __future__ import annotations

import datetime
import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from coursehub_backup import restoring, saving, state
from coursehub_backup.config import Config
from coursehub_backup.restic import Restic
from coursehub_backup.restoring import RestoreError

from tests.support.backups import config_of, here, manifest, root

__all__ = ["here", "root"]
pytestmark = pytest.mark.unit


def bring(config: Config, restic: Restic, path: str, *, in_place: bool) -> dict[str, Any]:
    """Restores from the newest backup."""
    version = restoring.snapshots(restic)[0]
    return restoring.restore(config, restic, version, account="nobody", path=path, in_place=in_place)


def test_moment_is_what_a_teacher_means() -> None:
    now = datetime.datetime(2026, 11, 30, 14, 30, tzinfo=datetime.UTC)
    assert restoring.moment_of("2026-11-29", now).isoformat() == "2026-11-29T23:59:59+00:00"
    assert restoring.moment_of("2026-11-29 09:00", now).isoformat() == "2026-11-29T09:00:00+00:00"
    assert restoring.moment_of("yesterday", now).isoformat() == "2026-11-29T23:59:59+00:00"
    with pytest.raises(RestoreError, match="is not a time"):
        restoring.moment_of("last week", now)


def test_version_is_the_newest_that_is_not_younger() -> None:
    times = [datetime.datetime(2026, 11, day, 12, tzinfo=datetime.UTC) for day in (30, 29, 28)]
    versions = [restoring.Version(str(one.day), one) for one in times]
    assert restoring.at(versions, None).snapshot == "30"
    assert restoring.at(versions, "2026-11-29 13:00+00:00").snapshot == "29"
    with pytest.raises(RestoreError, match="oldest backup is from"):
        restoring.at(versions, "2026-01-01")
    with pytest.raises(RestoreError, match="no backup yet"):
        restoring.at([], None)


@pytest.mark.parametrize("path", ["../other", "/etc/shadow", "a/../../other", ".."])
def test_path_that_leads_out_of_the_home_is_refused(path: str, tmp_path: Path) -> None:
    with pytest.raises(RestoreError, match="not in the home"):
        restoring.inside_home(config_of(tmp_path), "nobody", path)


def test_pattern_stands_for_one_name_alone() -> None:
    assert restoring.literal("we*ird [1]?\\.txt") == r"we\*ird \[1\]\?\\.txt"


def test_database_in_use_is_copied_as_of_one_moment(tmp_path: Path) -> None:
    source, copy = tmp_path / "hub.sqlite", tmp_path / "copies" / "hub.sqlite"
    with sqlite3.connect(source) as writer:
        writer.execute("create table t (x)")
        writer.executemany("insert into t values (?)", [(n,) for n in range(1000)])
    writer.execute("insert into t values (-1)")  # a transaction that is open
    saving.copy_database(source, copy)
    assert sqlite3.connect(copy).execute("select count(*) from t").fetchone() == (1000,)
    assert copy.stat().st_mode & 0o777 == 0o600


def test_damaged_database_is_found_and_keeps_the_old_copy(tmp_path: Path) -> None:
    source, copy = tmp_path / "hub.sqlite", tmp_path / "copies" / "hub.sqlite"
    with sqlite3.connect(source) as made:
        made.execute("create table t (x)")
        made.executemany("insert into t values (?)", [("x" * 500,) for _ in range(1000)])
    made.close()
    saving.copy_database(source, copy)
    before = copy.read_bytes()
    with source.open("r+b") as damaged:
        damaged.seek(20_000)
        damaged.write(b"\xff" * 8192)
    with pytest.raises(sqlite3.Error):
        saving.copy_database(source, copy)
    assert copy.read_bytes() == before


def test_home_comes_back_equal(here: tuple[Config, Restic]) -> None:
    """Modes, owners, times, links, hard links, pipes, empty folders, sparse files and names of any bytes."""
    config, restic = here
    assert saving.save(config, restic, None)
    home = config.homes / "nobody"
    before = manifest(home)
    shutil.rmtree(home / "labs")
    done = bring(config, restic, "labs", in_place=True)
    assert done["left_out"] == 0
    assert manifest(home) == before
    assert (home / "labs/sparse").stat().st_blocks * 512 < 1 << 20


def test_restored_file_lies_beside_the_present_one(here: tuple[Config, Restic]) -> None:
    config, restic = here
    assert saving.save(config, restic, None)
    lab = config.homes / "nobody/labs/lab.ipynb"
    lab.write_text("new")
    done = bring(config, restic, "labs/lab.ipynb", in_place=False)
    assert (lab.read_text(), Path(done["to"]).read_text()) == ("new", "{}")
    for version in restoring.listing(restic, lab):
        assert version.size == 2


def test_others_files_in_a_home_are_left_out(here: tuple[Config, Restic]) -> None:
    """A directory that was replaced by a link during the backup contains another person's files."""
    config, restic = here
    stolen = config.homes / "nobody/labs/stolen"
    stolen.mkdir()
    (stolen / "shadow").write_text("root's")
    assert saving.save(config, restic, None)
    done = bring(config, restic, "labs", in_place=False)
    assert done["left_out"] == 1
    assert not (Path(done["to"]) / "stolen").exists()
    with pytest.raises(RestoreError, match="did not belong"):
        bring(config, restic, "labs/stolen/shadow", in_place=False)


def test_restore_through_a_link_writes_with_the_persons_rights(here: tuple[Config, Restic], root: Path) -> None:
    """The student replaced a folder with a link to a directory of root."""
    config, restic = here
    assert saving.save(config, restic, None)
    labs = config.homes / "nobody/labs"
    victim = root / "victim"
    victim.mkdir(mode=0o755)
    shutil.rmtree(labs)
    labs.symlink_to(victim)
    with pytest.raises(RestoreError, match="home failed"):
        bring(config, restic, "labs/lab.ipynb", in_place=True)
    assert list(victim.iterdir()) == []


def test_repository_that_vanished_is_not_made_anew(here: tuple[Config, Restic], root: Path) -> None:
    config, restic = here
    assert saving.save(config, restic, None)
    shutil.rmtree(root / "repository")
    assert not saving.save(config, restic, None)
    assert not (root / "repository").exists()
    assert "there is no repository" in state.read()["targets"]["volume"]["error"]


def test_wrong_password_and_foreign_repository_are_named(here: tuple[Config, Restic], root: Path) -> None:
    config, restic = here
    assert saving.save(config, restic, None)
    (root / "etc/password").write_text("other")
    assert not saving.save(config, restic, None)
    assert "another password" in state.read()["targets"]["volume"]["error"]
    shutil.rmtree(root / "repository")
    restic.run("init")
    assert not saving.save(config, restic, None)
    assert "not the one of the last backup" in state.read()["targets"]["volume"]["error"]


def test_snapshot_from_the_future_is_set_apart(here: tuple[Config, Restic]) -> None:
    """A server whose clock was wrong made it. It would be the newest for years, and push out the present ones."""
    config, restic = here
    assert saving.save(config, restic, None)
    at = ("--time", "2050-01-01 00:00:00", "--host", "coursehub", "--tag", config.server)
    restic.run("backup", *at, str(config.homes))
    state.note("volume", pruned=0)
    assert saving.save(config, restic, None)
    *present, future = restoring.snapshots(restic)
    assert (future.at.year, future.server) == (2050, config.server)
    assert all(version.at.year < 2050 for version in present)
    tagged = json.loads(restic.run("snapshots", "--json", "--tag", saving.FUTURE).stdout)
    assert [one["id"] for one in tagged] == [future.snapshot]
