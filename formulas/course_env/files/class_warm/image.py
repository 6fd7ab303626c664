"""The image: a file with the memory and the registers of a process, and what must be true to use it."""

import marshal
import mmap
import os

from class_warm.areas import KERNELS, PAGE, Area, NoImage, areas, identity, opened, own_pages, runs
from class_warm.tracing import SYSCALL, Traced

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, BinaryIO

MAGIC = b"coursehub image 1\n"
NOTHING = bytes(PAGE)
#: Bytes of the number that says how long the description is, and what it is at most (an image of pandas has 40,000).
LENGTH, LONGEST = 8, 16 << 20
#: In place of a file: the image itself, or none (memory that is empty).
ITSELF, NO_FILE = -1, -2
#: Bytes that the main thread's stack may use, as in other processes.
STACK = 8 << 20
#: sys/mman.h
MAP_FIXED, MAP_NORESERVE, MAP_FIXED_NOREPLACE = 0x10, 0x4000, 0x100000
#: The system call, its numbers of signals (without SIGKILL and SIGSTOP), and the sizes of its structures.
RT_SIGACTION, SIGNALS, NEVER_HANDLED, SIGSET_BYTES, SIGACTION_BYTES, SIG_IGN = 13, 64, (9, 19), 8, 32, 1
#: Places in /proc/PID/stat, counted from 0 behind the program's name (proc(5)), in the order of PR_SET_MM_MAP.
STAT = (23, 24, 42, 43, 44)
START_STACK = 25
#: Beginnings of variables that Python and libraries in C read early. What modules in Python read is noted.
READ_EARLY = ("PYTHON", "LANG", "LC_", "LD_", "MALLOC_", "GLIBC_", "OMP_", "MKL_", "OPENBLAS_", "GOTO_", "KMP_")

#: The variables that an image is made with; the last ones are for a course with a closed network.
VARIABLES = (
    *("LANG", "PATH", "PYTHONPATH"),
    *("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"),
)


def known(path: str) -> tuple[str, tuple[int, int, int]]:
    """Return a file's path and identity. Raises OSError."""
    descriptor = opened(path)
    try:
        return path, identity(descriptor)
    finally:
        os.close(descriptor)


class Image:
    """What an image says, apart from the pages. For whom it is says its seal.

    ``size``: bytes of the pages. ``maps``: for each call of mmap(2) address, length, protection, flags, the index in
    ``files`` (or ITSELF, NO_FILE), and the offset there. ``kernels``: the places of the kernel's areas. ``handlers``:
    struct kernel_sigaction by signal. ``sources``: files that were read and are not mapped. ``variables``: what must be
    set as it was; None: not set.
    """

    variables: dict[str, str | None]
    pid: int
    registers: dict[str, int]
    size: int
    maps: list[tuple[int, int, int, int, int, int]]
    files: list[tuple[str, tuple[int, int, int]]]
    sources: list[tuple[str, tuple[int, int, int]]]
    kernels: dict[str, tuple[int, int]]
    handlers: dict[int, bytes]
    fields: list[int]
    rseq: tuple[int, int, int]
    robust_list: tuple[int, int]
    tid_address: int

    def __init__(self, values: "dict[str, Any]") -> None:
        self.__dict__.update(values)

    def check(self, variables: "Mapping[str, str]") -> None:
        """Raise NoImage if the image is not for these variables, or if a file that is in it changed; OSError."""
        for name in {*self.variables, *(name for name in variables if name.startswith(READ_EARLY))}:
            if variables.get(name) != self.variables.get(name):
                raise NoImage(f"the variable {name} has another value, and was read while the image was made")
        for path, was in self.sources:
            if known(path)[1] != was:
                raise NoImage(f"{path} has changed")


def read(descriptor: int) -> Image:
    """Return the image in an open file. Raises NoImage, OSError."""
    beginning = os.pread(descriptor, len(MAGIC) + LENGTH, 0)
    if not beginning.startswith(MAGIC):
        raise NoImage("the file is no image")
    length = min(int.from_bytes(beginning[len(MAGIC) :], "little"), LONGEST)
    try:
        # As trusted as the code in the image.
        found = Image(marshal.loads(os.pread(descriptor, length, len(beginning))))  # noqa: S302
    except (EOFError, TypeError, ValueError):
        raise NoImage("the file is only a part of an image") from None
    pages = _whole(len(beginning) + length)
    # A page behind the end of the file would end the process that reads it.
    if os.fstat(descriptor).st_size < pages + found.size:
        raise NoImage("the file is only a part of an image")
    found.maps = [(*rest, file, at + pages if file == ITSELF else at) for *rest, file, at in found.maps]  # type: ignore[misc]
    return found


def write(process: Traced, known_before: "dict[str, Any]", to: "BinaryIO") -> None:
    """Write the image of a process that stands still. Raises NoImage, OSError."""
    found = areas(process.pid)
    maps: list[tuple[int, int, int, int, int, int]] = []
    files: list[tuple[str, tuple[int, int, int]]] = []
    pages: list[tuple[int, int]] = []
    written = 0
    for area in found:
        if area.name in KERNELS:
            continue
        maps.append(_empty(area, files))
        content = own_pages(process.pid, area)
        if maps[-1][4] == NO_FILE:
            # What was never written, or is zero again, need not be kept.
            content = (page for page in content if process.read(page, PAGE) != NOTHING)
        for start, end in runs(content):
            maps.append((start, end - start, area.protection, mmap.MAP_PRIVATE | MAP_FIXED, ITSELF, written))
            pages.append((start, end))
            written += end - start
    registers = process.registers()
    with open(f"/proc/{process.pid}/stat", encoding="utf-8") as file:
        stat = [int(word) for word in file.read().rpartition(") ")[2].split()[1:]]
    fields = [stat[place - 1] for place in STAT]
    heap = max((area.end for area in found if area.name == "[heap]"), default=fields[-1])
    values = {
        **known_before,
        "pid": process.pid,
        "registers": registers,
        "size": written,
        "maps": maps,
        "files": files,
        "kernels": {area.name: (area.start, area.end) for area in found if area.name in KERNELS},
        "fields": [*fields, heap, stat[START_STACK - 1]],
        "rseq": process.rseq(),
        "handlers": _handlers(process, registers),
    }
    description = marshal.dumps(values)
    beginning = MAGIC + len(description).to_bytes(LENGTH, "little") + description
    to.write(beginning.ljust(_whole(len(beginning)), b"\0"))
    for start, end in pages:
        to.write(process.read(start, end - start))


def _handlers(process: Traced, registers: dict[str, int]) -> dict[int, bytes]:
    """Return the actions for those signals for which the process has a function (sigaction(2))."""
    base, found = registers | {"rip": registers["rip"] - len(SYSCALL)}, {}
    scratch = scratch_of(registers)
    for number in range(1, SIGNALS + 1):
        if number not in NEVER_HANDLED:
            process.call(base, RT_SIGACTION, number, 0, scratch, SIGSET_BYTES)
            action = process.read(scratch, SIGACTION_BYTES)
            if int.from_bytes(action[:8], "little") > SIG_IGN:
                found[number] = action
    process.set_registers(registers)
    return found


def scratch_of(registers: dict[str, int]) -> int:
    """Return the address of some bytes that are in no use, below the end of the stack."""
    return (registers["rsp"] - (1 << 14)) & ~7


def _empty(area: Area, files: list[tuple[str, tuple[int, int, int]]]) -> tuple[int, int, int, int, int, int]:
    """Return the call of mmap(2) that makes an area as it was before anything was written into it. Raises NoImage."""
    shared = area.rights.endswith("s")
    if not area.name.startswith("/") or area.name.endswith(" (deleted)"):
        if shared:
            raise NoImage("a package shares memory with other processes")
        start = min(area.start, area.end - STACK) if area.name == "[stack]" else area.start
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE
        return start, area.end - start, area.protection, flags, NO_FILE, 0
    if shared and "w" in area.rights:
        raise NoImage(f"a package shares {area.name} with other processes")
    file = known(area.name)
    if file[1][0] != area.inode:
        raise NoImage(f"{area.name} was replaced")
    if file not in files:
        files.append(file)
    flags = (mmap.MAP_SHARED if shared else mmap.MAP_PRIVATE) | MAP_FIXED_NOREPLACE
    return area.start, area.length, area.protection, flags, files.index(file), area.offset


def _whole(size: int) -> int:
    """Round up to whole pages."""
    return -(-size // PAGE) * PAGE
