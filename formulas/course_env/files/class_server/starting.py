"""Whether a server's start from the image succeeded."""

import contextlib
import os
from pathlib import Path

#: start-server makes this link in the home before a start from the image.
STARTING = ".coursehub-starting"


def came_up() -> None:
    """Remove the mark of a start from the image. If it is still there at the next start, that is an ordinary one."""
    with contextlib.suppress(OSError):
        Path(os.environ.get("HOME", "/"), STARTING).unlink()
