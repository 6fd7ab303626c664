"""Homes that are hard to save, with a real restic on this computer."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from coursehub_backup import restoring, saving, state
from coursehub_backup.config import Config
from coursehub_backup.restic import Restic

from tests.support.backups import NOBODY, here, manifest, root

__all__ = ["here", "root"]

pytestmark = [pytest.mark.unit, pytest.mark.timeout(1800)]


def restored(restic: Restic, home: Path, into: Path) -> Path:
    """What the newest backup has of the home."""
    into.mkdir()
    return restoring.fetch(restic, restoring.snapshots(restic)[0].snapshot, home, into)


def own(home: Path) -> None:
    subprocess.run(["chown", "-hR", f"{NOBODY.pw_uid}:{NOBODY.pw_gid}", str(home)], check=True)


@contextmanager
def growing(path: Path) -> Iterator[None]:
    """A file that gets longer all the time."""
    stop = threading.Event()

    def write() -> None:
        with path.open("ab") as log:
            while not stop.is_set():
                log.write(b"one more line\n" * 100)
                log.flush()
                time.sleep(0.002)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield
    finally:
        stop.set()
        writer.join()


def test_ten_thousand_files_and_a_socket_come_back(here: tuple[Config, Restic], root: Path) -> None:
    """The home has a socket, a pipe and holes too (``here``)."""
    config, restic = here
    home = root / "home/nobody"
    (home / "many").mkdir()
    for number in range(10_000):
        (home / "many" / str(number)).write_text(str(number))
    own(home)
    assert saving.save(config, restic, None), state.read()
    assert state.read()["targets"]["volume"]["unread"] == 0
    found = restored(restic, home, root / "out")
    assert manifest(found) == manifest(home)
    assert len(list((found / "many").iterdir())) == 10_000


def test_file_that_changes_is_saved_as_it_was_read(here: tuple[Config, Restic], root: Path) -> None:
    """What was read is a beginning of the file, and the rest of the home is equal."""
    config, restic = here
    home = root / "home/nobody"
    (home / "log").write_bytes(b"one more line\n" * 1_000_000)
    own(home)
    with growing(home / "log"):
        time.sleep(0.2)
        assert saving.save(config, restic, None), state.read()
    assert state.read()["targets"]["volume"]["unread"] == 0
    got = restored(restic, home, root / "out")
    content = (got / "log").read_bytes()
    assert len(content) >= 14_000_000
    assert (home / "log").read_bytes().startswith(content)
    found, now = manifest(got), manifest(home)
    assert {**found, b"log": ()} == {**now, b"log": ()}


def test_file_of_two_gigabytes_comes_back(here: tuple[Config, Restic], root: Path) -> None:
    if shutil.disk_usage(root).free < 12 << 30:
        pytest.skip("needs 12 GB")
    config, restic = here
    home = root / "home/nobody"
    expected = hashlib.sha256()
    with (home / "large").open("wb") as large:
        for _ in range(64):
            block = os.urandom(32 << 20)
            expected.update(block)
            large.write(block)
    own(home)
    assert saving.save(config, restic, None), state.read()
    shutil.rmtree(home)
    got = restored(restic, home, root / "out") / "large"
    assert got.stat().st_size == 2 << 30
    with got.open("rb") as file:
        assert hashlib.file_digest(file, "sha256").digest() == expected.digest()


def test_sparse_file_of_two_gigabytes_stays_sparse(here: tuple[Config, Restic], root: Path) -> None:
    config, restic = here
    home = root / "home/nobody"
    with (home / "holes").open("wb") as holes:
        holes.truncate(2 << 30)
        holes.seek(1 << 30)
        holes.write(b"middle")
    own(home)
    assert saving.save(config, restic, None), state.read()
    got = restored(restic, home, root / "out") / "holes"
    assert got.stat().st_size == 2 << 30
    assert got.stat().st_blocks * 512 < 4 << 20
    with got.open("rb") as file:
        file.seek(1 << 30)
        assert file.read(6) == b"middle"
