"""Looks whether a person's home lets its owner in, before a server starts in it."""

import stat
from pathlib import Path


class NoHome(Exception):
    """There is no home directory; the message says so to its owner."""


def mended(home: str) -> dict[str, str]:
    """Return what the unit does first so that the owner of ``home`` may enter it: nothing, as a rule.

    Whoever typed `chmod 000 ~` cannot start a server to take that back. Raises NoHome where there is no directory.
    """
    try:
        # Root's directory has it: its owner cannot put a link in its place.
        mode = Path(home).lstat().st_mode
    except OSError:
        mode = 0
    if not stat.S_ISDIR(mode):
        raise NoHome("Your home directory is not there")
    if mode & stat.S_IRWXU == stat.S_IRWXU:
        return {}
    # As root, and in the unit: the hub itself may write into no home.
    return {"ExecStartPre": f"+/usr/bin/chmod u+rwx {home}"}
