"""Directories that are subvolumes where the file system has such: each can then have a limit and earlier versions."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from pathlib import Path

#: linux/btrfs.h: BTRFS_IOC_SUBVOL_CREATE, and what other file systems say to it.
CREATE = 0x5000940E
NOT_BTRFS = (errno.ENOTTY, errno.EINVAL, errno.EOPNOTSUPP)


def make_directory(path: Path) -> None:
    """Make a directory that root alone enters so far. Raises OSError, FileExistsError where there is one."""
    parent = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # A mutable buffer: a constant one may have 1024 bytes at most.
        fcntl.ioctl(parent, CREATE, bytearray(struct.pack("<q4088s", 0, os.fsencode(path.name))))
    except OSError as problem:
        if problem.errno not in NOT_BTRFS:
            raise
        path.mkdir(mode=0o700)
        return
    finally:
        os.close(parent)
    path.chmod(0o700)
