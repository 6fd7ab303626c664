"""Where salt-ssh packs what it ships: the pillar is in there in clear, and nothing of that may stay on this computer.

salt-ssh itself takes its files away when it ends. One that is killed would leave them below /tmp, where nobody looks.
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
    """A directory that only we can read, and the open file descriptor that says it is in use.

    Hand ``descriptor`` on to whatever works there: its copy speaks for the directory when this process was killed.
    """

    directory: Path
    descriptor: int


@contextlib.contextmanager
def scratch(project: Project) -> Iterator[Scratch]:
    """A new scratch directory while the block runs; what killed runs left goes first.

    Raises OSError where none can be made.
    """
    root = _root(project)
    root.mkdir(mode=0o700, exist_ok=True)
    with contextlib.ExitStack() as stack:
        # Held, so that nobody takes a directory for left behind that is made but not locked yet.
        with _locked(root):
            _sweep(root)
            directory = Path(tempfile.mkdtemp(dir=root))
            descriptor = stack.enter_context(_locked(directory))
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        yield Scratch(directory, descriptor)


def sweep(project: Project) -> None:
    """Take away what killed runs left, of all courses, but not where something still works."""
    root = _root(project)
    if root.is_dir():
        with _locked(root):
            _sweep(root)


def _root(project: Project) -> Path:
    return project.state / "scratch"


def _sweep(root: Path) -> None:
    for left in root.iterdir():
        # In use, or its run just ended and took it away.
        with contextlib.suppress(BlockingIOError, FileNotFoundError, NotADirectoryError), _locked(left, fcntl.LOCK_NB):
            shutil.rmtree(left, ignore_errors=True)


@contextlib.contextmanager
def _locked(directory: Path, how: int = 0) -> Iterator[int]:
    """Lock a directory while the block runs; the kernel gives the lock back when all who have the descriptor end."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | how)
        yield descriptor
    finally:
        os.close(descriptor)
