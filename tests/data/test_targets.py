"""Backups to real servers: SFTP with a key on another machine, S3, and REST that deletes nothing."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from coursehub_backup import restoring, saving, state
from coursehub_backup.config import Config
from coursehub_backup.restic import Restic, ResticError

from runner import local
from tests.support.backup_targets import KINDS, Served, served
from tests.support.backups import NOBODY, here, impatient, manifest, root

__all__ = ["here", "root"]

pytestmark = [pytest.mark.unit, pytest.mark.timeout(1200)]


#: Seconds until a target that is gone is told; restic itself would try for 15 minutes.
SOON = 180


@dataclass
class Place:
    """A backup with one real target."""

    config: Config
    restic: Restic
    server: Served
    root: Path

    @property
    def home(self) -> Path:
        return self.root / "home/nobody"

    @property
    def error(self) -> str:
        """What `status` says of the target."""
        return str(state.read()["targets"][self.server.name].get("error"))

    def save(self) -> bool:
        return saving.save(self.config, self.restic, None)


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, here: tuple[Config, Restic], root: Path, tmp_path: Path) -> Iterator[Place]:
    if request.param == "sftp" and (reason := local.why_unavailable()):
        pytest.skip(reason)
    with served(request.param, tmp_path / "server") as server:
        target = server.target(root / "etc")
        config = dataclasses.replace(here[0], targets=(target,))
        yield Place(config, impatient(root, target), server, root)


def test_home_goes_there_and_comes_back_equal(place: Place) -> None:
    assert place.save(), place.error
    before = manifest(place.home)
    subprocess.run(["find", str(place.home), "-mindepth", "1", "-delete"], check=True)
    (version,) = restoring.snapshots(place.restic)
    into = place.root / "restored"
    into.mkdir()
    got = restoring.fetch(place.restic, version.snapshot, place.home, into)
    assert manifest(got) == before
    assert got.stat().st_uid == NOBODY.pw_uid
    place.restic.run("check", "--read-data")


def test_old_snapshots_go_unless_it_only_appends(place: Place) -> None:
    for number in range(2):
        (place.home / "file").write_text(str(number))
        assert place.save(), place.error
    newest, oldest = restoring.snapshots(place.restic)
    if place.config.targets[0].append_only:
        # Some versions of restic call this a success.
        with contextlib.suppress(ResticError):
            place.restic.run("forget", oldest.snapshot)
        assert len(restoring.snapshots(place.restic)) == 2
    else:
        place.restic.run("forget", "--prune", oldest.snapshot)
        assert [one.snapshot for one in restoring.snapshots(place.restic)] == [newest.snapshot]
    place.restic.run("check", "--read-data")


def test_target_that_is_gone_is_told_and_comes_back(place: Place) -> None:
    """The S3 server keeps all in memory, so after it there is no repository; none is made in its place."""
    assert place.save(), place.error
    place.server.kill()
    began = time.monotonic()
    assert not place.save()
    assert time.monotonic() - began < SOON
    assert place.error.startswith(f"{place.server.name}: ")
    assert "\n" not in place.error
    assert "there is no repository" not in place.error
    place.server.start()
    if place.server.given["kind"] == "s3":
        assert not place.save()
        assert "there is no repository" in place.error
    else:
        assert place.save(), place.error
        assert len(restoring.snapshots(place.restic)) == 2


def test_target_that_stops_for_a_while_is_waited_for(place: Place) -> None:
    """It answers nothing for 20 seconds in the middle of a backup."""
    assert place.save(), place.error
    (place.home / "work").write_bytes(os.urandom(40 << 20))
    stop = threading.Timer(1, place.server.pause)
    again = threading.Timer(21, place.server.resume)
    for timer in (stop, again):
        timer.start()
    began = time.monotonic()
    try:
        assert place.save(), place.error
    finally:
        for timer in (stop, again):
            timer.join()
    assert time.monotonic() - began > 15, "it was never stopped in the middle"
    place.restic.run("check", "--read-data")
