"""Calls btrfs by ioctl (linux/btrfs.h). Running the btrfs program for each of sixty homes would take seconds."""

from __future__ import annotations

import fcntl
import os
import struct
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from class_disk.programs import run

if TYPE_CHECKING:
    from collections.abc import Iterator

SYNC, SNAP_CREATE_V2, SNAP_DESTROY = 0x9408, 0x50009417, 0x5000940F
QGROUP_LIMIT, GET_SUBVOL_INFO = 0x8030942B, 0x81F8943C
READ_ONLY = 1 << 1
MAX_REFERENCED = 1 << 0
#: The kernel's value for "no limit".
NO_LIMIT = (1 << 64) - 1
#: The inode number of a subvolume's own directory.
SUBVOLUME = 256
#: struct btrfs_ioctl_get_subvol_info_args: the number, name, parent, directory, generation, flags and UUIDs, the four
#: transactions of change, creation, send and receive, and their times in seconds and nanoseconds.
_INFO = struct.Struct("<Q256sQQQQ48s" + "Q" * 4 + "QI4x" * 4 + "64x")


@dataclass(frozen=True)
class Subvolume:
    """A subvolume. ``changed`` and ``created`` are the numbers of transactions, ``created_at`` is Unix time."""

    number: int
    changed: int
    created: int
    created_at: float


@dataclass(frozen=True)
class Usage:
    """Bytes that a subvolume refers to, bytes that only it refers to, and its limit (None: no limit)."""

    used: int
    exclusive: int
    limit: int | None


def is_subvolume(path: Path) -> bool:
    """Whether this is the directory of a subvolume, and not a link to one."""
    try:
        found = path.lstat()
    except OSError:
        return False
    return found.st_ino == SUBVOLUME and path.is_dir() and not path.is_symlink()


def info(path: Path) -> Subvolume:
    """The kernel's information about a subvolume. Raises OSError."""
    answer = bytearray(_INFO.size)
    with _opened(path) as descriptor:
        fcntl.ioctl(descriptor, GET_SUBVOL_INFO, answer)
    fields = _INFO.unpack(answer)
    number, changed, created, seconds, nanoseconds = (fields[at] for at in (0, 7, 8, 13, 14))
    return Subvolume(number, changed, created, seconds + nanoseconds / 1e9)


def snapshot(source: Path, directory: Path, name: str) -> None:
    """Make a read-only snapshot of a subvolume. Raises OSError."""
    with _opened(source) as from_, _opened(directory) as into:
        words = struct.pack("<qQQ4Q4040s", from_, 0, READ_ONLY, 0, 0, 0, 0, os.fsencode(name))
        # A mutable buffer, because fcntl accepts at most 1024 constant bytes.
        fcntl.ioctl(into, SNAP_CREATE_V2, bytearray(words))


def delete(directory: Path, name: str) -> None:
    """Delete a subvolume. The kernel frees its space a little later. Raises OSError."""
    with _opened(directory) as parent:
        fcntl.ioctl(parent, SNAP_DESTROY, bytearray(struct.pack("<q4088s", 0, os.fsencode(name))))


def limit(path: Path, most: int | None) -> None:
    """Set a subvolume's limit in bytes; None removes it. Raises OSError."""
    words = struct.pack("<QQQQQQ", 0, MAX_REFERENCED, NO_LIMIT if most is None else most, 0, 0, 0)
    with _opened(path) as descriptor:
        fcntl.ioctl(descriptor, QGROUP_LIMIT, bytearray(words))


def sync(path: Path) -> None:
    """Write the file system's pending changes, so that its usage numbers are current. Raises OSError."""
    with _opened(path) as descriptor:
        fcntl.ioctl(descriptor, SYNC)


def usage(disk: Path) -> dict[int, Usage]:
    """Usage and limit by subvolume number. Raises OSError if btrfs-progs fails."""
    table = run("btrfs", "qgroup", "show", "-re", "--raw", str(disk))
    found = {}
    for line in table.splitlines():
        words = line.split()
        if len(words) >= 5 and words[0].startswith("0/"):
            most = None if words[3] == "none" else int(words[3])
            found[int(words[0][2:])] = Usage(int(words[1]), int(words[2]), most)
    return found


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
