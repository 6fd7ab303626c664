"""The directory in which salt-ssh packs what it ships. It contains the pillar in clear, so it must be deleted.

salt-ssh deletes its own files at its end. If it is killed, they would stay below /tmp, where nobody looks.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from runner.project import Project


@dataclass(frozen=True)
class Scratch:
    """A directory that only the owner can read, and the open file descriptor whose lock marks it as in use.

    Pass ``descriptor`` to each child process: its copy keeps the lock if this process is killed.
    """

    directory: Path
    descriptor: int


@contextlib.contextmanager
def scratch(project: Project) -> Iterator[Scratch]:
    """Make a scratch directory for the duration of the block; first delete those of killed runs.

    Raises OSError if it cannot be made.
    """
    root = _root(project)
    root.mkdir(mode=0o700, exist_ok=True)
    with contextlib.ExitStack() as stack:
        # The lock on the root keeps others from deleting a directory that is made but not locked yet.
        with _locked(root):
            _sweep(root)
            directory = Path(tempfile.mkdtemp(dir=root))
            descriptor = stack.enter_context(_locked(directory))
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        yield Scratch(directory, descriptor)


def sweep(project: Project) -> None:
    """Delete the directories of killed runs, of all courses; skip those that are in use."""
    root = _root(project)
    if root.is_dir():
        with _locked(root):
            _sweep(root)


def _root(project: Project) -> Path:
    return project.state / "scratch"


def _sweep(root: Path) -> None:
    for left in root.iterdir():
        # It is in use, or its run just ended and deleted it.
        with contextlib.suppress(BlockingIOError, FileNotFoundError, NotADirectoryError), _locked(left, fcntl.LOCK_NB):
            shutil.rmtree(left, ignore_errors=True)


@contextlib.contextmanager
def _locked(directory: Path, how: int = 0) -> Iterator[int]:
    """Lock a directory for the duration of the block.

    The kernel releases the lock when every holder of the descriptor ended.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | how)
        yield descriptor
    finally:
        os.close(descriptor)
