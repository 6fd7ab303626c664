"""Makes the disk: a fully allocated file on the server's own disk, with a btrfs in it.

Its size is fixed, so students can fill only this file; the rest of the server's disk belongs to the system.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from class_disk.config import GIB
from class_disk.programs import run

if TYPE_CHECKING:
    from class_disk.config import Config

#: Smallest size of the disk, and the space that must stay free next to it, in bytes.
LEAST, BESIDE = 2 * GIB, 4 * GIB
UNITS = Path("/etc/systemd/system")


class NoDiskError(Exception):
    """The server has no disk for the class; the message says why."""


def make(config: Config) -> str:
    """Make the disk and mount it; return what was done. Raises NoDiskError, OSError."""
    image = Path(config.image)
    image.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    done = "mounted"
    if not image.exists():
        _may_be_made(config)
        _make_image(image, _size(config))
        done = "made"
    run("systemctl", "daemon-reload")
    names = [unit(path) for path in (config.disk, config.home_root, config.class_root)]
    run("systemctl", "enable", "--quiet", *names)
    run("systemctl", "start", names[0])
    run("btrfs", "quota", "enable", config.disk)
    for directory, mode in ((config.homes, 0o755), (config.shared, 0o755), (config.history, 0o700)):
        directory.mkdir(exist_ok=True)
        directory.chmod(mode)
    Path(config.disk).chmod(0o700)
    run("systemctl", "start", *names[1:])
    return done


def grow(config: Config) -> int:
    """After the server's disk became bigger, enlarge image and file system. Returns the bytes added."""
    image = Path(config.image)
    more = _size(config, has=image.stat().st_size) - image.stat().st_size
    if more < GIB:
        return 0
    run("fallocate", "--length", str(image.stat().st_size + more), str(image))
    device = run("findmnt", "--noheadings", "--output", "SOURCE", config.disk).strip()
    run("losetup", "--set-capacity", device)
    run("btrfs", "filesystem", "resize", "max", config.disk)
    return more


def refusal(config: Config) -> Path:
    """The file that says why a server has no such disk."""
    return Path(config.image).with_name("none")


def unit(path: str) -> str:
    """The name of the mount unit for a path without hyphens."""
    return path[1:].replace("/", "-") + ".mount"


def _may_be_made(config: Config) -> None:
    home = Path(config.home_root)
    if home.is_dir() and any(home.iterdir()):
        raise NoDiskError(f"{home} has homes already, and nothing is moved automatically")
    shared = Path(config.class_root)
    if shared.is_dir() and any(shared.iterdir()):
        raise NoDiskError(f"{shared} has files already, and nothing is moved automatically")
    if _size(config) < LEAST:
        raise NoDiskError("the server's disk is too small for a separate one")
    if "btrfs" not in Path("/proc/filesystems").read_text(encoding="utf-8"):
        try:
            run("modprobe", "btrfs")
        except OSError:
            raise NoDiskError("this kernel has no btrfs") from None


def _size(config: Config, has: int = 0) -> int:
    """The disk's size in bytes: everything except the system's reserve, but no more than is free.

    ``has`` is the size that the disk has already.
    """
    around = shutil.disk_usage(Path(config.image).parent)
    reserve = max(config.reserve_least, around.total * config.reserve_percent // 100)
    return min(around.total - reserve, around.free + has - BESIDE) // (1 << 20) * (1 << 20)


def _make_image(image: Path, size: int) -> None:
    # Renamed when complete, so that a file under the final name is always complete.
    new = image.with_suffix(".new")
    new.unlink(missing_ok=True)
    os.close(os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    # Not os.posix_fallocate: if the file system cannot allocate, that writes zeros for minutes.
    run("fallocate", "--length", str(size), str(new))
    # Metadata only once: a second copy in the same file helps little, and small files would take twice the space.
    run("mkfs.btrfs", "--quiet", "--nodiscard", "--metadata", "single", "--label", "class", str(new))
    if not _mounts(new):
        new.unlink()
        raise NoDiskError("this machine cannot mount a file as a disk (no loop devices)")
    new.rename(image)


def _mounts(image: Path) -> bool:
    place = image.with_name("trial")
    place.mkdir(exist_ok=True)
    try:
        run("mount", "-o", "loop", str(image), str(place))
        run("umount", str(place))
    except OSError:
        return False
    finally:
        place.rmdir()
    return True
