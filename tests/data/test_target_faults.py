"""A target that is full, read-only, locked, foreign or of another time; with a real restic on this computer."""

from __future__ import annotations

import datetime
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from coursehub_backup import choosing, restoring, saving, state
from coursehub_backup.config import Config
from coursehub_backup.restic import Restic, ResticError

from tests.support import restic_locks
from tests.support.backups import NOBODY, here, impatient, manifest, root

__all__ = ["here", "root"]

pytestmark = [pytest.mark.unit, pytest.mark.timeout(900)]

#: Seconds until a fault is told that waiting does not mend; restic itself would try for 15 minutes.
SOON = 120


def error() -> str:
    """What `status` says of the target."""
    return str(state.read()["targets"]["volume"].get("error"))


def saved(config: Config, restic: Restic) -> bool:
    """Whether a backup was good; one that is not must be told soon."""
    began = time.monotonic()
    good = saving.save(config, restic, None)
    assert time.monotonic() - began < SOON, state.read()
    return good


def new_work(home: Path, name: str) -> None:
    path = home / name
    path.write_bytes(os.urandom(3 << 20))
    os.chown(path, NOBODY.pw_uid, NOBODY.pw_gid)


def restored(restic: Restic, home: Path, into: Path) -> dict[bytes, tuple[object, ...]]:
    """What the newest backup has of the home."""
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir()
    return manifest(restoring.fetch(restic, restoring.snapshots(restic)[0].snapshot, home, into))


@pytest.fixture
def small(here: tuple[Config, Restic], root: Path) -> Iterator[tuple[Config, Restic, Path]]:
    """A target of 12 MB, on a file system of its own."""
    place = root / "repository"
    place.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(place)], check=True)
    try:
        yield *here, place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_full_target_is_told_and_keeps_its_backups(small: tuple[Config, Restic, Path], root: Path) -> None:
    config, restic, place = small
    home = root / "home/nobody"
    assert saved(config, restic)
    before = manifest(home)
    (home / "big").write_bytes(os.urandom(30 << 20))
    assert not saved(config, restic)
    assert "no space left on device" in error()
    # Not even a lock has room now.
    fill(place / "rest")
    assert restored(restic, home, root / "out") == before
    (place / "rest").unlink()
    subprocess.run(["mount", "-o", "remount,size=100m", str(place)], check=True)
    assert saved(config, restic), state.read()
    assert restored(restic, home, root / "out") == manifest(home)
    restic.run("check", "--read-data")


def fill(path: Path) -> None:
    """Write until the file system is full."""
    with path.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            return


def test_read_only_target_can_be_restored_from(small: tuple[Config, Restic, Path], root: Path) -> None:
    config, restic, place = small
    home = root / "home/nobody"
    assert saved(config, restic)
    subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
    try:
        assert not saved(config, restic)
        assert "read-only file system" in error()
        began = time.monotonic()
        assert restored(restic, home, root / "out") == manifest(home)
        assert time.monotonic() - began < SOON
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(place)], check=True)
    assert saved(config, restic), state.read()


def test_full_disk_in_a_restore_is_told_and_mended(here: tuple[Config, Restic], root: Path) -> None:
    config, restic = here
    home = root / "home/nobody"
    new_work(home, "work")
    assert saved(config, restic)
    out = root / "small"
    out.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(out)], check=True)
    try:
        snapshot = restoring.snapshots(restic)[0].snapshot
        with pytest.raises(restoring.RestoreError, match="the disk is full"):
            restoring.fetch_what_is_there(restic, snapshot, home, out)
        subprocess.run(["find", str(out), "-mindepth", "1", "-delete"], check=True)
        subprocess.run(["mount", "-o", "remount,size=100m", str(out)], check=True)
        assert restoring.fetch_what_is_there(restic, snapshot, home, out) == 0
        assert manifest(out / "nobody") == manifest(home)
    finally:
        subprocess.run(["umount", str(out)], check=True)


def test_wrong_password_and_foreign_repository_change_nothing(here: tuple[Config, Restic], root: Path) -> None:
    config, restic = here
    home, repository = root / "home/nobody", root / "repository"
    assert saved(config, restic)
    before = {path: path.stat().st_mtime_ns for path in repository.rglob("*") if path.is_file()}
    (root / "etc/password").write_text("other")
    assert not saved(config, restic)
    assert error() == "volume: the repository there was made with another password"
    with pytest.raises(ResticError, match="another password"):
        restoring.snapshots(restic)
    (root / "etc/password").write_text("secret")
    repository.rename(root / "ours")
    restic.run("init")
    assert not saved(config, restic)
    assert error() == "volume: the repository there is not the one of the last backup"
    shutil.rmtree(repository)
    (root / "ours").rename(repository)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert saved(config, restic)
    assert restored(restic, home, root / "out") == manifest(home)


def test_lock_of_a_dead_host_is_removed(here: tuple[Config, Restic], root: Path) -> None:
    """restic refreshes a lock every five minutes; one without a refresh for 30 minutes is nobody's."""
    config, _ = here
    restic = impatient(root, config.targets[0])
    assert saved(config, restic)
    lock = restic_locks.add(restic, root / "repository", datetime.timedelta(minutes=31))
    assert saved(config, restic), error()
    assert not lock.exists()


def test_lock_of_a_living_host_is_respected(here: tuple[Config, Restic], root: Path) -> None:
    config, _ = here
    restic = impatient(root, config.targets[0])
    assert saved(config, restic)
    lock = restic_locks.add(restic, root / "repository", datetime.timedelta(minutes=4))
    assert not saved(config, restic)
    assert error() == "volume: another host has the repository locked"
    assert lock.exists()
    lock.unlink()
    assert saved(config, restic), error()


def test_two_backups_at_once_are_both_good(
    here: tuple[Config, Restic], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On one server the second waits for the first; a second server's restic is let in beside them."""
    config, restic = here
    monkeypatch.setattr(saving, "Restic", lambda _target, **_: restic)
    assert saving.run(config)
    new_work(root / "home/nobody", "work")
    running, most = 0, 0
    save = saving.save

    def counted(*arguments: object) -> bool:
        nonlocal running, most
        running += 1
        most = max(most, running)
        try:
            return save(*arguments)  # type: ignore[arg-type]
        finally:
            running -= 1

    monkeypatch.setattr(saving, "save", counted)
    results: list[bool] = []
    threads = [threading.Thread(target=lambda: results.append(saving.run(config))) for _ in range(2)]
    argv = restic.argv("backup", "--host", "coursehub", "--tag", "f" * 32, str(root / "home"))
    with subprocess.Popen(argv, env=restic.environment(), stdout=subprocess.DEVNULL) as other:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert (results, most, other.returncode) == ([True, True], 1, 0), state.read()
    assert len(restoring.snapshots(restic)) == 4
    restic.run("check", "--read-data")


def test_snapshots_of_a_wrong_clock_do_no_harm(here: tuple[Config, Restic], root: Path) -> None:
    """A server's clock was years ahead for some hours, then it was set right.

    Its snapshots are the newest by their time, and as many as are kept. The present ones must stay all the same.
    """
    config, restic = here
    home = root / "home/nobody"
    assert saved(config, restic)
    for hour in range(4):
        at = ("--time", f"2050-01-01 0{hour}:00:00")
        restic.run("backup", "--host", "coursehub", "--tag", config.server, *at, str(root / "home"))
    ahead = time.time() + 30 * 365 * 86400
    state.note("volume", ok=ahead, pruned=ahead, checked=ahead)
    assert "clock" in str(state.problem(config, state.read(), time.time(), 0))
    new_work(home, "work")
    assert saved(config, restic)
    assert state.problem(config, state.read(), time.time(), 0) is None
    assert 0 <= time.time() - state.read()["targets"]["volume"]["pruned"] < SOON, "old snapshots were looked for"
    # Without a time, the newest that can be true.
    found = restoring.snapshots(restic)
    assert found[0].at < datetime.datetime.now().astimezone()
    assert found[0] == choosing.versions([restic])[0]
    assert restored(restic, home, root / "out") == manifest(home)
    assert {one.server for one in found} == {config.server}
    # The same a day later, when old snapshots are deleted again.
    state.note("volume", pruned=0)
    new_work(home, "work")
    assert saved(config, restic)
    assert restored(restic, home, root / "out") == manifest(home)
    assert len([one for one in restoring.snapshots(restic) if one.at.year == 2050]) == config.keep["hourly"]
    restic.run("check", "--read-data")
