"""A small disk of a class in a file: a real btrfs with quotas, on a loop device."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "formulas/homes/files"))

from class_disk.config import GIB, Config

MIB = 1 << 20


def need_btrfs() -> None:
    """Skip the calling module where no btrfs can be made. In CI its tests fail instead."""
    can = os.geteuid() == 0 and shutil.which("mkfs.btrfs") and Path("/dev/loop-control").exists() and _kernel_can()
    if not can and not os.environ.get("CI"):
        reason = "a btrfs on a loop device needs root, btrfs-progs, and a kernel with btrfs"
        pytest.skip(reason, allow_module_level=True)


def _kernel_can() -> bool:
    if shutil.which("modprobe"):
        subprocess.run(["modprobe", "--quiet", "btrfs"], check=False)
    return "\tbtrfs\n" in Path("/proc/filesystems").read_text(encoding="utf-8")


def config_in(directory: Path, **given: object) -> Config:
    """What the formula would write, with all paths in one directory."""
    facts: dict[str, object] = {
        "image": str(directory / "place/disk.img"),
        "disk": str(directory / "disk"),
        "home_root": str(directory / "home"),
        "class_root": str(directory / "class"),
        "reserve_percent": 25,
        "reserve_least": 0,
        "shared_out_percent": 60,
        "each": None,
        "each_most": 10 * GIB,
        "each_least": 100 * MIB,
        "common_percent": 10,
        "warn_percent": 80,
        "hourly": 24,
        "daily": 14,
    }
    return Config(**{**facts, **given})  # type: ignore[arg-type]


def btrfs(*words: str | Path) -> str:
    done = subprocess.run(["btrfs", *map(str, words)], capture_output=True, text=True, check=True)
    return done.stdout


@contextlib.contextmanager
def mounted(config: Config, size: int = 160 * MIB) -> Iterator[Config]:
    """The disk as ``make`` leaves it, with two people, a team, and the directory of everybody."""
    image = Path(config.image)
    image.parent.mkdir()
    config.top.mkdir()
    with image.open("wb") as file:
        file.truncate(size)
    make = ["mkfs.btrfs", "--quiet", "--nodiscard", "--metadata", "single", str(image)]
    subprocess.run(make, check=True, capture_output=True)
    # The kernel frees deleted versions at its next commit, usually within 30 s.
    subprocess.run(["mount", "-o", "loop,commit=1", str(image), config.disk], check=True)
    try:
        btrfs("quota", "enable", config.disk)
        for directory in (config.homes, config.shared / "groups", config.history):
            directory.mkdir(parents=True)
        for path in OWNERS:
            btrfs("subvolume", "create", config.top / path)
        yield config
    finally:
        subprocess.run(["umount", config.disk], check=True)


#: The owners' directories on the disk.
OWNERS = ("homes/curie", "homes/noether", "class/groups/red", "class/shared")
