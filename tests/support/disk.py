"""A disk that can run full without the host's running full."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def small_disk(image: Path, mounted: Path, *, gigabytes: int) -> Iterator[None]:
    """An ext4 file system in a sparse file, mounted while the block runs; whoever unmounts it before may."""
    mounted.mkdir(parents=True, exist_ok=True)
    with image.open("wb") as file:
        file.truncate(gigabytes * 1024**3)
    try:
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", "-O", "^has_journal", str(image)], check=True)
        subprocess.run(["mount", "-o", "loop", str(image), str(mounted)], check=True)
        (mounted / "lost+found").rmdir()
        yield
    finally:
        if mounted.is_mount():
            subprocess.run(["umount", str(mounted)], check=True)
        image.unlink()
