"""Write files atomically."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

PRIVATE = 0o600


def write_whole(path: Path, content: str | bytes, mode: int = 0o644) -> None:
    """Write ``content`` to ``path`` atomically: a reader, or a crash, sees the old file or the new one.

    Missing parent directories are created. Raises OSError; the old file is then unchanged.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # mkstemp creates the file with mode 0600 and a unique name.
    descriptor, unfinished = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(content.encode() if isinstance(content, str) else content)
            handle.flush()
            os.fsync(handle.fileno())
            os.fchmod(handle.fileno(), mode)
        Path(unfinished).replace(path)
    except BaseException:
        Path(unfinished).unlink(missing_ok=True)
        raise


def write_private(path: Path, content: str | bytes) -> None:
    """Like ``write_whole``, for a file and directories that only their owner may read."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_whole(path, content, mode=PRIVATE)
