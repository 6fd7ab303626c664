"""The class's disk: limits, which earlier versions are kept, and the written usage."""

from __future__ import annotations

import json
import struct
import sys
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.support.class_disks import MIB, config_in

pytestmark = pytest.mark.unit
FILES = Path(__file__).parents[2] / "formulas/homes/files"
sys.path.insert(0, str(FILES))

from class_disk import btrfs, history, limits, making, reporting  # noqa: E402
from class_disk.config import GIB, Config  # noqa: E402
from class_disk.owners import Owner  # noqa: E402


def config(tmp_path: Path, **given: object) -> Config:
    return config_in(tmp_path, **{"reserve_least": 10 * GIB, "hourly": 3, "daily": 2, **given})


def owner(name: str) -> Owner:
    return Owner(name, Path("/nowhere"), 1001)


@pytest.mark.parametrize(("total", "count", "each"), [
    (120 * GIB, 26, 2816 * MIB), (120 * GIB, 3, 10 * GIB), (4 * GIB, 60, 100 * MIB), (42 * GIB, 30, 768 * MIB),
])  # fmt: skip
def test_class_disk_is_shared_out_in_steps(tmp_path: Path, total: int, count: int, each: int) -> None:
    assert limits.limit_of(owner("home/curie"), config(tmp_path), total, count) == each


def test_class_disk_takes_the_course_files_limit(tmp_path: Path) -> None:
    given = config(tmp_path, each="2G")
    assert limits.limit_of(owner("home/curie"), given, 42 * GIB, 30) == 2 * GIB
    assert limits.limit_of(owner("groups/red"), given, 42 * GIB, 30) == 2 * GIB
    # The directory that teachers share with everybody has its own part of the disk.
    assert limits.limit_of(owner("shared"), given, 100 * GIB, 30) == 10 * GIB


def version(number: int, when: str) -> history.Version:
    created_at = datetime.fromisoformat(when).timestamp()
    return history.Version(Path(f"/v/{number}"), btrfs.Subvolume(number, number, number, created_at))


def test_class_disk_keeps_versions_by_hour_and_day() -> None:
    """The last version of each hour and day is kept. After a week without work the last version is still there."""
    found = [
        version(1, "2026-11-02 09:00"), version(2, "2026-11-02 16:00"), version(3, "2026-11-20 10:00"),
        version(4, "2026-11-30 08:00"), version(5, "2026-11-30 09:00"), version(6, "2026-11-30 09:40"),
        version(7, "2026-11-30 10:00"),
    ]  # fmt: skip
    gone = [int(one.path.name) for one in history.outdated(found, hourly=3, daily=2)]
    assert gone == [1, 2, 5]
    assert history.outdated(found[:1], hourly=24, daily=14) == []


def test_class_disk_is_not_made_where_homes_are(tmp_path: Path) -> None:
    """On a server that already has a class, nothing is moved or hidden."""
    (tmp_path / "home/curie").mkdir(parents=True)
    with pytest.raises(making.NoDiskError, match="has homes already"):
        making.make(config(tmp_path))
    assert not (tmp_path / "place/disk.img").exists()


def test_class_disk_is_not_made_too_small(tmp_path: Path) -> None:
    with pytest.raises(making.NoDiskError, match="too small"):
        making.make(config(tmp_path, reserve_percent=100))


def test_class_disk_leaves_the_systems_reserve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def disk_usage(_: Path) -> SimpleNamespace:
        return SimpleNamespace(total=160 * GIB, free=150 * GIB)

    monkeypatch.setattr(making.shutil, "disk_usage", disk_usage)
    assert making._size(config(tmp_path)) == 120 * GIB
    monkeypatch.setattr(making.shutil, "disk_usage", lambda _: SimpleNamespace(total=25 * GIB, free=9 * GIB))
    assert making._size(config(tmp_path)) == 5 * GIB


def test_class_disk_reads_the_kernels_table(monkeypatch: pytest.MonkeyPatch) -> None:
    table = """Qgroupid    Referenced    Exclusive  Max referenced  Max exclusive   Path
--------    ----------    ---------  --------------  -------------   ----
0/5              16384        16384            none           none   <toplevel>
0/257        524271616        20480       524288000           none   homes/a b
"""
    monkeypatch.setattr(btrfs, "run", lambda *_: table)
    assert btrfs.usage(Path("/d")) == {
        5: btrfs.Usage(16384, 16384, None),
        257: btrfs.Usage(524271616, 20480, 524288000),
    }


def test_class_disk_reads_the_kernels_struct(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The offsets are those of struct btrfs_ioctl_get_subvol_info_args in linux/btrfs.h."""

    def ioctl(_descriptor: int, _request: int, answer: bytearray) -> None:
        struct.pack_into("<Q", answer, 0, 257)
        struct.pack_into("<2Q", answer, 344, 90, 80)
        struct.pack_into("<QI", answer, 392, 1_700_000_000, 500_000_000)

    monkeypatch.setattr(btrfs.fcntl, "ioctl", ioctl)
    assert btrfs.info(tmp_path) == btrfs.Subvolume(257, 90, 80, 1_700_000_000.5)


def test_class_disk_reports_to_owners_and_teachers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the owner's group can read its file. The teachers' summary lists who is short of space, the worst first."""
    reports, gid = tmp_path / "reports", tmp_path.stat().st_gid
    reports.mkdir()
    (tmp_path / "disk").mkdir()
    everybody = [Owner(f"home/{name}", Path(name), gid) for name in ("curie", "meitner", "noether")]
    numbers = {"curie": 1, "meitner": 2, "noether": 3}
    used = {1: btrfs.Usage(85, 0, 100), 2: btrfs.Usage(100, 0, 100), 3: btrfs.Usage(79, 0, 100)}
    monkeypatch.setattr(reporting, "owners", lambda _: everybody)
    monkeypatch.setattr(reporting.limits, "set_all", lambda *_: [])
    monkeypatch.setattr(reporting.history, "relieve", lambda *_: 0)
    monkeypatch.setattr(btrfs, "usage", lambda _: used)
    monkeypatch.setattr(btrfs, "info", lambda path: btrfs.Subvolume(numbers[path.name], 0, 0, 0.0))
    summary = reporting.look(config(tmp_path), reports)
    assert [one["name"] for one in summary["short"]] == ["meitner", "curie"]
    assert json.loads((reports / "home/noether.json").read_text()) == {"used": 79, "limit": 100}
    assert (reports / "home/noether.json").stat().st_mode & 0o777 == (0o640 if gid else 0o600)
    assert (reports / "summary.json").stat().st_mode & 0o777 == 0o600


def test_limited_filter_has_no_way_around() -> None:
    """Runs the filter's program by hand: which requests pass, also with bits that the kernel ignores."""
    sys.path.insert(0, str(FILES.parents[1] / "course_env/files"))
    from class_server import limited

    lines = [struct.unpack("<HBBI", word) for word in _words(limited.program(16))]

    def verdict(call: int, request: int) -> int:
        data = {0: call, 24: request & 0xFFFFFFFF}
        at, value = 0, 0
        while True:
            code, yes, no, constant = lines[at]
            at += 1
            if code == limited.LOAD:
                value = data[constant]
            elif code == limited.AND:
                value &= constant
            elif code == limited.EQUAL:
                at += yes if value == constant else no
            else:
                return int(constant)

    copies = (0x40049409, 0x4020940D, 0xC0189436)
    for request in (*copies, 0x5000940E, 0x50009417, 0x50009401, 0x50009418, 0x9408, 1 << 32 | 0x5000940E):
        assert verdict(16, request) == limited.REFUSE, hex(request)
    for request in (0x5401, 0x80086601):
        assert verdict(16, request) == limited.ALLOW, hex(request)
    assert verdict(1, 0x5000940E) == limited.ALLOW


def _words(program: bytes) -> list[bytes]:
    return [program[at : at + 8] for at in range(0, len(program), 8)]
