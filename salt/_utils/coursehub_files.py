"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: Path, content: str | bytes, *, mode: int = 0o644) -> None:
    """Write ``content`` to ``path`` with ``mode``; whoever reads meanwhile has the old file or the new one.

    The file belongs to who writes it. Directories above it are made, readable by everybody. Raises OSError. What a
    power cut spoils is not seen to: the next apply compares it with what it should be.
    """
    for directory in reversed([parent for parent in path.parents if not parent.exists()]):
        directory.mkdir()
        directory.chmod(0o755)
    unfinished = path.with_name(f".{path.name}.new")
    unfinished.unlink(missing_ok=True)
    # Private from its first moment, as what is in it may be secret.
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as handle:
        handle.write(content.encode() if isinstance(content, str) else content)
        # Not the group of a directory that hands its own on.
        os.fchown(descriptor, os.geteuid(), os.getegid())
        os.fchmod(descriptor, mode)
    unfinished.replace(path)
