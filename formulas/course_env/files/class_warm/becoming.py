"""Gives a process the memory and the registers of an image."""

import _signal  # type: ignore[import-not-found]  # as in begin.py
import os
import struct

from class_warm.areas import KERNELS, NoImage, areas
from class_warm.image import ITSELF, NO_FILE, RT_SIGACTION, SIGSET_BYTES, Image, scratch_of
from class_warm.tracing import NO_SYSTEM_CALL, SYSCALL, Traced

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

#: System calls of x86-64.
READ, MMAP, MUNMAP, MREMAP, WAIT4, PRCTL, SET_TID_ADDRESS, SET_ROBUST_LIST, RSEQ = 0, 9, 11, 25, 61, 157, 218, 273, 334
PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS = 3, 0x22
MAYMOVE_FIXED = 3
RSEQ_UNREGISTER = 1
PR_SET_MM, PR_SET_MM_MAP = 35, 14
#: Where Debian's python3 is: at the same address in each process, so the image's is put in the place of this one's.
FIXED_PLACES_END = 1 << 40


class Occupied(Exception):
    """The process uses addresses that the image needs. In another process they may be free."""


class Busy(Exception):
    """The process does not wait for its child yet."""


class Gone(Exception):
    """The process has lost its own memory and did not get all of the image's. It must be ended."""


def become(process: Traced, image: Image, files: "Sequence[int]", argv: bytes, environment: bytes) -> None:
    """Let a process that waits for its child go on as the image.

    ``files``: the process's descriptors of the image, and of its files. ``argv`` and ``environment`` are what the
    kernel shows of the process (/proc/PID/cmdline): strings that end with a zero byte. Raises Gone; or Busy, Occupied,
    NoImage, OSError: then the process goes on as before.
    """
    before = process.registers()
    here = before | {"rip": before["rip"] - len(SYSCALL)}
    if before["orig_rax"] != WAIT4 or process.read(here["rip"], len(SYSCALL)) != SYSCALL:
        raise Busy
    own = areas(process.pid)
    moving = [place for place in image.maps if place[0] >= FIXED_PLACES_END]
    needed = [(place[0], place[0] + place[1]) for place in moving] + list(image.kernels.values())
    if any(area.start < end and start < area.end for start, end in needed for area in own):
        raise Occupied
    kernels = {area.name: area for area in own if area.name in KERNELS}
    if {name: area.length for name, area in kernels.items()} != {
        name: end - start for name, (start, end) in image.kernels.items()
    }:
        raise NoImage("the kernel's own areas are others")
    there = image.registers | {"rip": image.registers["rip"] - len(SYSCALL), "fs_base": before["fs_base"]}
    try:
        _map(process, here, moving, files)
        shown = process.call(
            here, MMAP, 0, len(argv) + len(environment) + 1, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0
        )
        process.write(shown, argv + environment)
    except BaseException:
        process.set_registers(before)
        raise
    # There is no way back. What follows waits for nothing.
    _signal.alarm(0)
    try:
        address, size, signature = process.rseq()
        if size:
            process.call(there, RSEQ, address, size, RSEQ_UNREGISTER, signature)
        for area in own:
            if area.name in KERNELS:
                start = image.kernels[area.name][0]
                process.call(there, MREMAP, area.start, area.length, area.length, MAYMOVE_FIXED, start)
            else:
                process.call(there, MUNMAP, area.start, area.length)
        _map(process, there, [place for place in image.maps if place[0] < FIXED_PLACES_END], files)
        _tell_the_kernel(process, there, image, (shown, len(argv), len(environment)))
        process.set_registers(image.registers | {"rip": there["rip"], "rax": READ, "orig_rax": NO_SYSTEM_CALL})
    except Exception as problem:
        raise Gone(str(problem)) from problem


def _map(
    process: Traced, base: dict[str, int], maps: "Sequence[tuple[int, int, int, int, int, int]]", files: "Sequence[int]"
) -> None:
    for address, length, protection, flags, file, offset in maps:
        descriptor = -1 if file == NO_FILE else files[file - ITSELF]
        process.call(base, MMAP, address, length, protection, flags, descriptor, offset)


def _tell_the_kernel(process: Traced, base: dict[str, int], image: Image, shown: tuple[int, int, int]) -> None:
    """Tell the kernel the places that it keeps for each process."""
    at, words, variables = shown
    between, end = at + words, at + words + variables
    # struct prctl_mm_map: the places, then no other auxiliary vector, and no other program.
    scratch = scratch_of(image.registers)
    process.write(scratch, struct.pack("12QIi", *image.fields, at, between, between, end, 0, 0, -1))
    process.call(base, PRCTL, PR_SET_MM, PR_SET_MM_MAP, scratch, struct.calcsize("12QIi"), 0)
    address, size, signature = image.rseq
    if size:
        process.call(base, RSEQ, address, size, 0, signature)
    process.call(base, SET_ROBUST_LIST, *image.robust_list)
    for number, action in image.handlers.items():
        process.write(scratch, action)
        process.call(base, RT_SIGACTION, number, scratch, 0, SIGSET_BYTES)
    process.call(base, SET_TID_ADDRESS, image.tid_address)
    process.write(image.tid_address, struct.pack("i", process.pid))


def strings(words: "Sequence[str]") -> bytes:
    """Return words as the kernel keeps them for a process."""
    return b"".join(os.fsencode(word) + b"\0" for word in words)
