"""Starts a program that cannot make requests to btrfs: `limited.py PROGRAM ARGUMENT...`.

On btrfs everybody can create a subvolume in their own directory, and a new subvolume has no limit, so a home could grow
without end. Copies that share blocks (FICLONE) take no space, but a million references to one block make the accounting
of limits slow for everybody. Without FICLONE, `cp` makes an ordinary copy. systemd filters system calls only by name.
This filter (seccomp(2)) also checks the request of an ioctl. Every process that the program starts inherits it.
"""

import ctypes
import os
import struct
import sys

#: The number of the system call ioctl, by machine.
IOCTL = {"x86_64": 16, "aarch64": 29}
#: The second byte of every request to btrfs (linux/btrfs.h), which copies that share blocks have too (linux/fs.h).
BTRFS = 0x9400
#: linux/filter.h and linux/seccomp.h
LOAD, EQUAL, AND, RETURN = 0x20, 0x15, 0x54, 0x06
ALLOW, REFUSE = 0x7FFF0000, 0x00050001
#: Offsets in struct seccomp_data: the call's number, and the lower half of its second argument.
NUMBER, REQUEST = 0, 24
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, FILTER = 22, 38, 2


class Refused(Exception):
    """The kernel refused the filter."""


def program(ioctl: int) -> bytes:
    """Return the filter in the kernel's format. A jump counts from the next instruction."""
    lines = [
        (LOAD, 0, 0, NUMBER),
        (EQUAL, 0, 4, ioctl),
        (LOAD, 0, 0, REQUEST),
        (AND, 0, 0, 0xFF00),
        (EQUAL, 0, 1, BTRFS),
        (RETURN, 0, 0, REFUSE),
        (RETURN, 0, 0, ALLOW),
    ]
    return b"".join(struct.pack("<HBBI", *line) for line in lines)


def limit_this_process() -> None:
    """Install the filter for this process and everything that it starts. Raises Refused."""
    words = program(IOCTL[os.uname().machine])
    kept = ctypes.create_string_buffer(words, len(words))
    # struct sock_fprog: the number of instructions, then their address.
    filters = struct.pack("@HP", len(words) // 8, ctypes.addressof(kept))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(PR_SET_SECCOMP, FILTER, filters, 0, 0):
        raise Refused(os.strerror(ctypes.get_errno()))


if __name__ == "__main__":
    limit_this_process()
    os.execv(sys.argv[1], sys.argv[1:])  # noqa: S606
