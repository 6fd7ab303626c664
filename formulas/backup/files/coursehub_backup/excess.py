"""Finds directories of people and teams that would keep a backup of everybody from ending.

A sparse file takes no space on the disk, but restic reads all of its zeros. Empty files take hardly any space, but
restic keeps all names of a folder in memory. So one student could fill hours and the memory of every backup.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

#: Files and folders of one owner, and bytes of holes in their files.
MOST_FILES, MOST_HOLES = 500_000, 20 << 30
#: The folder of a shared directory that has a directory for each team.
TEAMS = "groups"


def directories(homes: Path, sources: tuple[str, ...]) -> Iterator[Path]:
    """The directory of each person and team."""
    for parent in (homes, *(Path(source, TEAMS) for source in sources)):
        if parent.is_dir():
            yield from sorted(path for path in parent.iterdir() if path.is_dir() and not path.is_symlink())


def is_too_much(directory: Path, largest: int) -> bool:
    """Whether there is too much in it for a backup. Files of more than ``largest`` bytes do not count for holes."""
    files = holes = 0
    waiting = [str(directory)]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    files += 1
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    elif entry.is_file(follow_symlinks=False):
                        found = entry.stat(follow_symlinks=False)
                        if found.st_size <= largest:
                            holes += max(0, found.st_size - found.st_blocks * 512)
                    if files > MOST_FILES or holes > MOST_HOLES:
                        return True
        except OSError:
            # Its owner has just removed it.
            continue
    return False
