"""A machine's disk: a file system of its own in one sparse file, as big as the droplet's.

It fills up without the host's filling up, and goes with one unlink: to delete the hundred thousand files of a server
one by one takes many seconds, and ext4 without a journal is slow to make new files for minutes after that.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from runner.errors import CoursehubError
from runner.local.host import run

_MKFS = (
    *("mkfs.ext4", "-q", "-F", "-m", "0"),
    # Nothing is written ahead: neither now nor, with noinit_itable, in the background.
    *("-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard,root_owner=0:0"),
)
#: Without barriers, because a machine's death leaves the host's memory as it is. A host's power cut is another matter:
#: a server that must survive that does not stand here.
_MOUNT = ("mount", "-o", "loop,noatime,noinit_itable,nobarrier,commit=60")


def ensure(home: Path, gigabytes: int) -> Path:
    """Mount the disk of the machine whose directory is ``home``, made at its first start; the directory to write to.

    That is ``home`` itself, on the host's own file system, where the host has no loop devices (some containers have
    none). Raises CoursehubError when a disk that is there cannot be mounted.
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


def _make(image: Path, gigabytes: int) -> None:
    with image.open("wb") as file:
        file.truncate(gigabytes * 1024**3)
    run([*_MKFS, str(image)])
