"""A machine's disk: its own file system in one sparse file, as large as the droplet's if the host has enough space.

One unlink removes it: deleting a server's hundred thousand files takes many seconds, and ext4 without a journal then
creates files slowly for minutes. The disk is never larger than the host's free space when it was made, so a machine
that fills its disk gets an error and leaves the host some space. Several machines share that space with each other and
with the host, and space that a machine frees stays reserved for it until it is deleted. If the host's disk fills up
nevertheless, a machine's writes fail as disk errors and no message explains why.
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

#: What stays free on the host when a machine fills its disk.
RESERVE_BYTES = 1024**3
MIN_BYTES = 1024**3
RELEASE_SECONDS = 10

_MKFS = (
    *("mkfs.ext4", "-q", "-F", "-m", "0"),
    # Nothing is initialised ahead: neither now nor, with noinit_itable, in the background.
    *("-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard,root_owner=0:0"),
)
#: Without barriers, because the host's memory survives a machine's death. A power cut of the host is different: a
#: server that must survive that does not run here. Without discard: deleting and rewriting 20,000 files four times took
#: 26 s with it and 21 s without (means of three), and once the image was in 847 pieces instead of 40.
_MOUNT = ("mount", "-o", "loop,noatime,noinit_itable,nobarrier,commit=60")


def ensure(home: Path, gigabytes: int) -> Path:
    """Mount a machine's disk, which is made at the first start; return the directory to write to.

    ``home`` is the machine's directory. If the host has no loop devices (some containers have none), the result is
    ``home`` itself, on the host's own file system. Raises CoursehubError if an existing disk cannot be mounted, or if
    there is no space for a new one.
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
    # Only a disk that was mounted gets its final name, so a start that was killed before makes a new one.
    if new.exists():
        new.rename(image)
    return mounted


def wait_until_released(directory: Path) -> bool:
    """Wait until no loop device uses a file of this directory, even a deleted one; return whether that happened.

    The kernel removes a dead machine's mounts about 0.5 s after its last process; the device and the disk's space are
    released with the last mount. The wait ends after RELEASE_SECONDS.
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
        # It may have been released since the check.
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
