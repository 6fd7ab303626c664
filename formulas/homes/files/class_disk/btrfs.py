"""Requests to the kernel's btrfs by ioctl (linux/btrfs.h): a process for each of sixty homes would take seconds."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SYNC, SNAP_CREATE_V2, SNAP_DESTROY = 0x9408, 0x50009417, 0x5000940F
QGROUP_LIMIT, GET_SUBVOL_INFO = 0x8030942B, 0x81F8943C
READ_ONLY = 1 << 1
MAX_REFERENCED = 1 << 0
#: The kernel's word for "no limit".
NO_LIMIT = (1 << 64) - 1
#: The inode number of a subvolume's own directory.
SUBVOLUME = 256
ENVIRONMENT = {"LC_ALL": "C", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
#: struct btrfs_ioctl_get_subvol_info_args: what comes before the fields that are read, and its whole size.
_INFO = struct.Struct("<Q256sQQQQ48sQQQQ" + "QQ" * 4 + "64s")


@dataclass(frozen=True)
class Subvolume:
    """A subvolume: when its content last changed and when it was made, as transactions, and when by the clock."""

    number: int
    changed: int
    made: int
    made_at: float
    """Unix time."""


@dataclass(frozen=True)
class Usage:
    """Bytes that a subvolume refers to, those that it alone refers to, and what it may refer to (None: no limit)."""

    used: int
    alone: int
    limit: int | None


def is_subvolume(path: Path) -> bool:
    """Whether this is the directory of a subvolume, and no link to one."""
    try:
        found = path.lstat()
    except OSError:
        return False
    return found.st_ino == SUBVOLUME and path.is_dir() and not path.is_symlink()


def info(path: Path) -> Subvolume:
    """What the kernel knows of a subvolume. Raises OSError."""
    answer = bytearray(504)
    with _opened(path) as descriptor:
        fcntl.ioctl(descriptor, GET_SUBVOL_INFO, answer)
    fields = _INFO.unpack_from(answer)
    number, changed, made = fields[0], fields[7], fields[8]
    # Four times follow: of the last change, of its making, of its sending, of its receipt.
    seconds, nanoseconds = struct.unpack_from("<QI", answer, 8 + 256 + 32 + 48 + 32 + 16)
    return Subvolume(number, changed, made, seconds + nanoseconds / 1e9)


def snapshot(source: Path, directory: Path, name: str) -> None:
    """Make a read-only snapshot of a subvolume. Raises OSError."""
    with _opened(source) as from_, _opened(directory) as into:
        words = struct.pack("<qQQ4Q4040s", from_, 0, READ_ONLY, 0, 0, 0, 0, os.fsencode(name))
        # A mutable buffer: a constant one may have 1024 bytes at most.
        fcntl.ioctl(into, SNAP_CREATE_V2, bytearray(words))


def delete(directory: Path, name: str) -> None:
    """Delete a subvolume; its room comes back a little later. Raises OSError."""
    with _opened(directory) as parent:
        fcntl.ioctl(parent, SNAP_DESTROY, bytearray(struct.pack("<q4088s", 0, os.fsencode(name))))


def limit(path: Path, most: int | None) -> None:
    """Let a subvolume refer to so many bytes; None takes the limit away. Raises OSError."""
    words = struct.pack("<QQQQQQ", 0, MAX_REFERENCED, NO_LIMIT if most is None else most, 0, 0, 0)
    with _opened(path) as descriptor:
        fcntl.ioctl(descriptor, QGROUP_LIMIT, bytearray(words))


def sync(path: Path) -> None:
    """Write down what the file system has in memory, so that its numbers are true. Raises OSError."""
    with _opened(path) as descriptor:
        fcntl.ioctl(descriptor, SYNC)


def usage(disk: Path) -> dict[int, Usage]:
    """What each subvolume uses and may use, by its number. Raises OSError when btrfs-progs does not say it."""
    table = run("btrfs", "qgroup", "show", "-re", "--raw", str(disk))
    found = {}
    for line in table.splitlines():
        words = line.split()
        if len(words) >= 5 and words[0].startswith("0/"):
            most = None if words[3] == "none" else int(words[3])
            found[int(words[0][2:])] = Usage(int(words[1]), int(words[2]), most)
    return found


def run(*argv: str) -> str:
    """What a program says. Raises OSError with its last line when it fails."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=ENVIRONMENT)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise OSError(0, said[-1] if said else f"exit code {done.returncode}", argv[0])
    return done.stdout


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
