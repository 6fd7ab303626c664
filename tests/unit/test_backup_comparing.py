"""Restored directories are compared with their backup; each kind of difference is found."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from coursehub_backup import comparing, everything, saving
from coursehub_backup.config import Config
from coursehub_backup.restic import Restic, ResticError
from coursehub_backup.restoring import RestoreError

from tests.support.backups import here, restic_program, root
from tests.support.whole_server import server

__all__ = ["here", "root", "server"]

pytestmark = pytest.mark.unit


@pytest.fixture
def compare(server: tuple[Config, Restic], monkeypatch: pytest.MonkeyPatch) -> Callable[[], dict[str, Any]]:
    """Compares, with the test's own restic."""
    config, restic = server
    monkeypatch.setattr(comparing, "Restic", lambda *_arguments, **_options: restic)
    return lambda: comparing.compare(config)


def test_restored_directories_are_equal(server: tuple[Config, Restic], compare: Callable[[], dict[str, Any]]) -> None:
    config, restic = server
    assert everything.run(config, [restic], None)
    found = compare()
    assert found["differ"] == []
    assert (found["directories"], found["left_out"]) == (2, 1)
    assert found["bytes"] > 64 << 20
    sample = found["samples"]["nobody"]
    assert sample["sha256"] == hashlib.sha256(Path(sample["path"]).read_bytes()).hexdigest()


def _flip(labs: Path) -> None:
    path = labs / "lab.ipynb"
    times = path.stat()
    path.write_bytes(bytes(byte ^ 1 for byte in path.read_bytes()))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


CHANGES: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "content": ("different", _flip),
    "mode": ("different", lambda labs: (labs / "secret").chmod(0o600)),
    "time": ("different", lambda labs: os.utime(labs / "we*ird [1]?.txt", (5, 5))),
    "owner": ("different", lambda labs: os.chown(labs / "sparse", 0, 0)),
    "link": ("different", lambda labs: ((labs / "broken").unlink(), (labs / "broken").symlink_to("other"))),
    "kind": ("different", lambda labs: ((labs / "link").unlink(), (labs / "link").mkdir())),
    "gone": ("missing", lambda labs: (labs / os.fsdecode(b"\xff\xfe")).unlink()),
    "new": ("extra", lambda labs: (labs / "new").write_text("x")),
}


def test_each_kind_of_difference_is_counted(
    server: tuple[Config, Restic], root: Path, compare: Callable[[], dict[str, Any]]
) -> None:
    config, restic = server
    assert everything.run(config, [restic], None)
    labs = root / "home/nobody/labs"
    before = {"missing": 0, "different": 0, "extra": 0}
    times = labs.stat()
    for name, (kind, change) in CHANGES.items():
        change(labs)
        os.utime(labs, ns=(times.st_atime_ns, times.st_mtime_ns))
        (after,) = compare()["differ"]
        assert after.pop("name") == "home nobody"
        # The file with two names counts twice.
        more = 2 if name == "content" else 1
        assert after == {**before, kind: before[kind] + more}, name
        before = after


def test_repository_that_breaks_meanwhile_is_an_error(
    server: tuple[Config, Restic], root: Path, compare: Callable[[], dict[str, Any]]
) -> None:
    config, restic = server
    with pytest.raises(RestoreError, match="nothing was restored"):
        compare()
    assert everything.run(config, [restic], None)
    for pack in (root / "repository/data").rglob("*"):
        if pack.is_file():
            pack.chmod(0o600)
            pack.write_bytes(b"x" * pack.stat().st_size)
    with pytest.raises(ResticError, match="volume: "):
        compare()


def test_server_that_only_restores_makes_no_backup(here: tuple[Config, Restic]) -> None:
    config, _ = here
    with pytest.raises(ResticError, match="this server only restores backups"):
        saving.run(dataclasses.replace(config, restores_only=True), program=restic_program())
