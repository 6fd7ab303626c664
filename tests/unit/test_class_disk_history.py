"""The class's disk on a real btrfs: earlier versions, their cost, and limits that the kernel keeps."""

from __future__ import annotations

import contextlib
import errno
import json
import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.support.class_disks import MIB, Config, config_in, mounted, need_btrfs

need_btrfs()
from class_disk import btrfs, history, limits, main, owners, reporting  # noqa: E402
from class_disk.failing import Failures  # noqa: E402

pytestmark = pytest.mark.unit
EVERYBODY = ["curie", "noether", "groups/red", "shared"]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Config]:
    with mounted(config_in(tmp_path)) as config:
        yield config


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if hours passed between any two versions: only space makes one give way."""
    monkeypatch.setattr(history, "outdated", lambda *_: [])


def free(monkeypatch: pytest.MonkeyPatch, *percent: int) -> None:
    """What is free at each look. A small btrfs has no room for its own tables long before it is full."""
    looks = iter(percent)
    monkeypatch.setattr(history.shutil, "disk_usage", lambda _: SimpleNamespace(total=100, free=next(looks)))


def write(config: Config, path: str, mebibytes: int) -> None:
    """New content: a version that has the old content keeps its space."""
    place = config.homes / path
    place.unlink(missing_ok=True)
    place.write_bytes(b"x" * (mebibytes * MIB))
    btrfs.sync(config.top)


def names(config: Config, owner: str) -> list[str]:
    return [one.path.name for one in history.versions(config, owner)]


@pytest.mark.usefixtures("slow")
def test_versions_are_taken_of_what_changed(disk: Config) -> None:
    (disk.homes / "curie/lab.py").write_text("one")
    assert history.take(disk) == EVERYBODY
    assert history.take(disk) == []
    (disk.homes / "curie/lab.py").write_text("two")
    assert history.take(disk) == ["curie"]
    old, new = history.versions(disk, "home/curie")
    assert [(one.path / "lab.py").read_text() for one in (old, new)] == ["one", "two"]
    assert len(names(disk, "home/noether")) == 1
    with pytest.raises(OSError, match="Read-only") as refused:
        (old.path / "lab.py").write_text("three")
    assert refused.value.errno == errno.EROFS


@pytest.mark.usefixtures("slow")
def test_versions_of_one_minute_have_different_names(disk: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "NAME", "2026-11-30 09.00 Monday")
    for content in ("one", "two", "three"):
        (disk.homes / "curie/lab.py").write_text(content)
        history.take(disk)
    assert names(disk, "home/curie") == [f"2026-11-30 09.00 Monday{more}" for more in ("", " (2)", " (3)")]


def test_versions_have_names_that_sort_by_time(disk: Config) -> None:
    history.take(disk)
    (name,) = names(disk, "shared")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d\.\d\d [A-Z][a-z]+day", name)


def test_versions_of_the_same_hour_give_way(disk: Config) -> None:
    """Only the last of an hour stays, and its content is the newest."""
    few = replace(disk, hourly=1, daily=1)
    for content in ("one", "two", "three"):
        (disk.homes / "curie/lab.py").write_text(content)
        history.take(few)
    # If the hour changed between two of them, the one before stays too.
    kept = history.versions(disk, "home/curie")
    assert len(kept) <= 2
    assert (kept[-1].path / "lab.py").read_text() == "three"


@pytest.mark.usefixtures("slow")
def test_versions_of_one_owner_are_bounded(disk: Config) -> None:
    """Somebody who rewrites everything loses their own oldest versions, and nobody else's."""
    small = replace(disk, each="20M")
    write(disk, "noether/lab", 1)
    for size in (8, 9, 10, 11):
        write(disk, "curie/big", size)
        history.take(small)
    kept = history.versions(disk, "home/curie")
    assert [(one.path / "big").stat().st_size // MIB for one in kept] == [9, 10, 11]
    assert len(names(disk, "home/noether")) == 1
    costs = json.loads((disk.history / "costs.json").read_text())
    # The directory has 11 of them too; they do not count.
    assert 30 * MIB <= costs["home/curie"] < 31 * MIB
    assert MIB <= costs["home/noether"] < 2 * MIB


@pytest.mark.usefixtures("slow")
def test_full_disk_takes_from_whoever_has_the_most(disk: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    for size in (20, 9, 10):
        write(disk, "curie/big", size)
        write(disk, "noether/big", 2 + size % 3)
        history.take(disk)
    before = names(disk, "home/noether")
    # Nothing happens until less than 10 % are free; then versions go until 15 % are.
    free(monkeypatch, 12)
    assert history.relieve(disk, Failures()) == 0
    free(monkeypatch, 9, 12, 16)
    assert history.relieve(disk, Failures()) == 2
    assert [(one.path / "big").stat().st_size // MIB for one in history.versions(disk, "home/curie")] == [10]
    assert names(disk, "home/noether") == before


def test_full_disk_keeps_everybodys_last_version(disk: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    write(disk, "curie/big", 5)
    history.take(disk)
    free(monkeypatch, 1)
    assert history.relieve(disk, Failures()) == 0
    assert len(names(disk, "home/curie")) == 1


def _total(config: Config) -> int:
    return int(history.shutil.disk_usage(config.disk).total)


@contextlib.contextmanager
def locked(disk: Config, owner: str) -> Iterator[None]:
    """As if the kernel refused everything in an owner's history."""
    directory = str(disk.history / owner)
    subprocess.run(["chattr", "+i", directory], check=True)
    try:
        yield
    finally:
        subprocess.run(["chattr", "-i", directory], check=True)


def test_one_owners_fault_stops_nobody_else(disk: Config) -> None:
    (disk.history / "home/curie").mkdir(parents=True)
    with (
        locked(disk, "home/curie"),
        pytest.raises(OSError, match=r"^the owner with group 0: Operation not permitted$"),
    ):
        history.take(disk)
    assert [len(names(disk, one)) for one in ("home/curie", "home/noether", "groups/red", "shared")] == [0, 1, 1, 1]
    assert history.take(disk) == ["curie"]


@pytest.mark.usefixtures("slow")
def test_owner_that_cannot_be_thinned_stops_nobody_else(disk: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither when an owner has too many versions, nor when the disk is nearly full."""
    for size in (8, 9, 10):
        write(disk, "curie/big", size)
        write(disk, "noether/big", size - 1)
        history.take(disk)
    with locked(disk, "home/curie"):
        with pytest.raises(OSError, match=r"^the owner with group 0: Operation not permitted$"):
            history.take(replace(disk, each="12M"))
        assert [len(names(disk, one)) for one in ("home/curie", "home/noether")] == [3, 2]
        free(monkeypatch, 9, 16)
        failures = Failures()
        assert history.relieve(disk, failures) == 1
        with pytest.raises(OSError, match=r"^the owner with group 0: Operation not permitted$"):
            failures.report()
    assert [len(names(disk, one)) for one in ("home/curie", "home/noether")] == [3, 1]


def test_space_is_free_at_once(disk: Config) -> None:
    """The kernel's cleaner is woken; with the next commit alone it would come after minutes here."""
    history.take(disk)
    subprocess.run(["mount", "-o", "remount,commit=300", disk.disk], check=True)
    (old,) = history.versions(disk, "home/curie")
    began = time.monotonic()
    btrfs.delete(old.path.parent, old.path.name)
    history._wait_until_freed(disk)
    assert time.monotonic() - began < history.FREEING / 3
    listed = subprocess.run(["btrfs", "subvolume", "list", "-d", disk.disk], capture_output=True, text=True, check=True)
    assert listed.stdout == ""


def test_owner_without_a_limit_stops_nobody_else(disk: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others get limits and reports, and the error has no name."""
    (tmp_path / "reports").mkdir()
    real, limited = btrfs.limit, []

    def limit(path: Path, most: int | None) -> None:
        if path.name in ("curie", "red"):
            raise OSError(errno.EIO, "Input/output error", str(path))
        limited.append(path.name)
        real(path, most)

    monkeypatch.setattr(btrfs, "limit", limit)
    says = "^2 owners failed, and the first is the owner with group 0: Input/output error$"
    with pytest.raises(OSError, match=says):
        limits.set_all(disk)
    with pytest.raises(OSError, match=says):
        reporting.look(disk, tmp_path / "reports")
    assert limited == ["noether", "shared"]
    assert sorted(path.stem for path in (tmp_path / "reports").rglob("*.json")) == ["noether", "shared", "summary"]


def test_limits_are_kept_by_the_kernel(disk: Config) -> None:
    small = replace(disk, each="10M")
    assert limits.set_all(small) == EVERYBODY
    assert limits.set_all(small) == []
    assert (disk.history / "groups/red").is_dir()
    with pytest.raises(OSError, match="quota") as refused:
        write(disk, "curie/big", 30)
    assert refused.value.errno == errno.EDQUOT
    write(disk, "noether/big", 5)
    assert limits.set_all(replace(disk, each="40M")) == EVERYBODY
    write(disk, "curie/big", 30)


def test_owners_are_subvolumes_only(disk: Config) -> None:
    (disk.homes / "plain").mkdir()
    (disk.homes / ".hidden").mkdir()
    (disk.homes / "link").symlink_to("curie")
    assert [one.title for one in owners.owners(disk)] == EVERYBODY
    assert history.versions(disk, "home/plain") == []


def test_usage_is_what_was_written(disk: Config, tmp_path: Path) -> None:
    (tmp_path / "reports").mkdir()
    small = replace(disk, each="10M")
    limits.set_all(small)
    write(disk, "curie/big", 9)
    btrfs.sync(disk.top)
    summary = reporting.look(small, tmp_path / "reports")
    assert [one["name"] for one in summary["short"]] == ["curie"]
    assert 9 * MIB <= summary["short"][0]["used"] < 10 * MIB == summary["short"][0]["limit"]
    assert summary["total"] == _total(disk)


@pytest.fixture
def command(disk: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """coursehub-disk with this configuration."""
    monkeypatch.setattr(main, "REPORTS", tmp_path / "run")
    monkeypatch.setattr(main.Config, "read", classmethod(lambda _: disk))
    return disk


def test_disk_command_says_no_names(command: Config, capsys: pytest.CaptureFixture[str]) -> None:
    """Its output is in the journal, which students' names must not be in."""
    assert [main.main([verb]) for verb in ("limits", "history", "look")] == [0, 0, 0]
    assert capsys.readouterr().out.splitlines() == ["4 limits set", "4 versions kept", "looked"]
    assert json.loads((main.REPORTS / "home/curie.json").read_text())["limit"] == 100 * MIB
    assert len(names(command, "home/curie")) == 1


def test_disk_command_on_a_server_without_a_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(main, "REPORTS", tmp_path / "run")
    monkeypatch.setattr(main.Config, "read", classmethod(lambda _: config_in(tmp_path)))
    assert main.main(["history"]) == main.NO_DISK
    assert capsys.readouterr().out == "this server has no separate disk for the class\n"


def test_disk_command_fails_with_one_line(command: Config, capsys: pytest.CaptureFixture[str]) -> None:
    subprocess.run(["btrfs", "quota", "disable", command.disk], check=True)
    assert main.main(["limits"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("coursehub-disk limits: ")
