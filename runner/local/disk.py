"""A machine's disk: a file system of its own in one sparse file, as big as the droplet's if the host has that much.

It goes with one unlink: to delete the hundred thousand files of a server one by one takes many seconds, and ext4
without a journal is slow to make new files for minutes after that. It is never bigger than what the host had free when
it was made, so that one machine that fills its disk is told so and leaves the host some room. Several machines share
that room, with each other and with the host, and what a machine deletes is free for itself alone until it goes: where
the host runs full all the same, a machine's writes fail as errors of its disk and nothing says why.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from runner.errors import CoursehubError
from runner.local.host import run

#: What a machine that fills its disk leaves free on the host.
RESERVE_BYTES = 1024**3
MIN_BYTES = 1024**3
RELEASE_SECONDS = 10

_MKFS = (
    *("mkfs.ext4", "-q", "-F", "-m", "0"),
    # Nothing is written ahead: neither now nor, with noinit_itable, in the background.
    *("-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard,root_owner=0:0"),
)
#: Without barriers, because a machine's death leaves the host's memory as it is. A host's power cut is another matter:
#: a server that must survive that does not stand here. Without discard: 20,000 files deleted and written anew four
#: times took 26 s with it and 21 s without (means of three), and once the image was in 847 pieces instead of 40.
_MOUNT = ("mount", "-o", "loop,noatime,noinit_itable,nobarrier,commit=60")


def ensure(home: Path, gigabytes: int) -> Path:
    """Mount the disk of the machine whose directory is ``home``, made at its first start; the directory to write to.

    That is ``home`` itself, on the host's own file system, where the host has no loop devices (some containers have
    none). Raises CoursehubError when a disk that is there cannot be mounted, and when there is no room for a new one.
    """
    image, new, mounted = home / "disk.img", home / "disk.new", home / "disk"
    if not mounted.is_mount():
        if (home / "upper").exists():
            return home
        fresh = not image.exists()
        if fresh:
            _make(new, gigabytes)
        mounted.mkdir(exist_ok=True)
        source = new if fresh else image
        done = subprocess.run([*_MOUNT, str(source), str(mounted)], capture_output=True, text=True, check=False)
        if done.returncode != 0 and fresh:
            new.unlink()
            return home
        if done.returncode != 0:
            said = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise CoursehubError(f"the machine's disk {image} cannot be mounted: {said}")
    # Only one that this host has mounted has its name, so that a start that was killed before begins anew.
    if new.exists():
        new.rename(image)
    return mounted


def wait_until_released(directory: Path) -> bool:
    """Wait until no loop device has a file of this directory, which may be deleted already; whether that came about.

    The kernel takes a dead machine's mounts away about half a second after its last process, and the device goes, and
    the disk's room with it, with the last mount. What takes longer than RELEASE_SECONDS is not waited for.
    """
    below = f"{directory.resolve()}/"
    deadline = time.monotonic() + RELEASE_SECONDS
    while any(file.startswith(below) for file in _backing_files()):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _backing_files() -> Iterator[str]:
    for record in Path("/sys/block").glob("loop*/loop/backing_file"):
        # It may be gone since the look.
        with contextlib.suppress(OSError):
            yield record.read_text()


def _make(image: Path, gigabytes: int) -> None:
    room = shutil.disk_usage(image.parent).free - RESERVE_BYTES
    if room < MIN_BYTES:
        raise CoursehubError(
            f"no space for a machine's disk: {image.parent} has {(room + RESERVE_BYTES) / 1024**3:.1f} GiB free of the "
            f"{(MIN_BYTES + RESERVE_BYTES) / 1024**3:.0f} that one needs; make room and run this again"
        )
    with image.open("wb") as file:
        file.truncate(min(gigabytes * 1024**3, room))
    run([*_MKFS, str(image)])
