"""The areas of a process's memory, and which of their pages are in no file.

What ``begin`` imports uses few modules of Python: each costs milliseconds at every start.
"""

import mmap
import os
import stat
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PAGE = mmap.PAGESIZE
#: Pages that need not be written are written too if fewer lie between two that must: a run costs a system call.
SMALL_GAP = 16
#: Bits of an entry of /proc/PID/pagemap (the kernel's admin-guide/mm/pagemap).
PRESENT, SWAPPED, OF_A_FILE = 1 << 63, 1 << 62, 1 << 61
#: Memory that the kernel itself gives to each process, for system calls that need not enter it.
KERNELS = ("[vvar]", "[vvar_vclock]", "[vdso]")


class NoImage(Exception):
    """No image can be made, or it cannot be used; the message says why."""


class Area:
    """A line of /proc/PID/maps."""

    def __init__(self, line: str) -> None:
        place, self.rights, offset, _, inode, *name = line.split(None, 5)
        start, _, end = place.partition("-")
        self.start, self.end = int(start, 16), int(end, 16)
        self.offset, self.inode = int(offset, 16), int(inode)
        self.name = name[0] if name else ""

    @property
    def length(self) -> int:
        """Bytes."""
        return self.end - self.start

    @property
    def protection(self) -> int:
        """The rights as mmap(2) wants them."""
        bits = {"r": mmap.PROT_READ, "w": mmap.PROT_WRITE, "x": mmap.PROT_EXEC}
        return sum(bits[letter] for letter in self.rights if letter in bits)


def areas(pid: int) -> list[Area]:
    """Return the areas of a process, without the one that is at the same address in all processes."""
    with open(f"/proc/{pid}/maps", encoding="utf-8", errors="surrogateescape") as file:
        found = [Area(line.rstrip("\n")) for line in file]
    return [area for area in found if area.name != "[vsyscall]"]


def own_pages(pid: int, area: Area) -> "Iterator[int]":
    """Yield the addresses of the pages that are in no file, or were changed since they were read from one."""
    count = area.length // PAGE
    with open(f"/proc/{pid}/pagemap", "rb", buffering=0) as file:
        file.seek(area.start // PAGE * 8)
        for place, entry in enumerate(struct.unpack(f"{count}Q", file.read(count * 8))):
            if entry & SWAPPED or (entry & PRESENT and not entry & OF_A_FILE):
                yield area.start + place * PAGE


def runs(pages: "Iterable[int]") -> list[tuple[int, int]]:
    """Return start and end of runs that contain all pages."""
    found: list[tuple[int, int]] = []
    for page in pages:
        if found and page - found[-1][1] <= SMALL_GAP * PAGE:
            found[-1] = (found[-1][0], page + PAGE)
        else:
            found.append((page, page + PAGE))
    return found


def opened(path: str) -> int:
    """Open a file for reading. Raises NoImage if it is no file: a pipe would wait for its writer; OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NoImage(f"{path} is no file")
    return descriptor


def identity(descriptor: int) -> tuple[int, int, int]:
    """Return what is different if an open file was replaced or changed: inode, size, time of the change."""
    status = os.fstat(descriptor)
    return status.st_ino, status.st_size, status.st_mtime_ns
