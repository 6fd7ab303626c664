"""Check that a person's home can be entered by its owner, before a server starts in it."""

import stat
from pathlib import Path


class NoHome(Exception):
    """There is no home directory; the message says so to its owner."""


def mended(home: str) -> dict[str, str]:
    """Return unit properties that let the owner enter ``home``; usually none are needed.

    A student who typed `chmod 000 ~` cannot start a server to undo it. Raises NoHome if there is no directory.
    """
    try:
        # The directory above belongs to root, so the owner cannot replace the home by a link.
        mode = Path(home).lstat().st_mode
    except OSError:
        mode = 0
    if not stat.S_ISDIR(mode):
        raise NoHome("Your home directory is not there")
    if mode & stat.S_IRWXU == stat.S_IRWXU:
        return {}
    # As root, and in the unit: the hub itself must not write into homes.
    return {"ExecStartPre": f"+/usr/bin/chmod u+rwx {home}"}
