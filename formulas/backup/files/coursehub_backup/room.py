"""Whether the server's file systems have room. On a full one nobody can save, and soon nothing is backed up."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from coursehub_backup.config import Full


def problem(places: Iterable[Path], full: Full) -> str | None:
    """The first of these places whose file system is full, in one line; None if each has room."""
    looked = set()
    for place in places:
        try:
            device, found = place.stat().st_dev, os.statvfs(place)
        except OSError:
            continue
        if device in looked:
            continue
        looked.add(device)
        left, used = found.f_bavail * found.f_frsize, (found.f_blocks - found.f_bfree) * found.f_frsize
        per_cent = -(-100 * used // max(1, used + left))
        if per_cent >= full.per_cent or left < full.least:
            return f"{place} is full: {per_cent} % used, {left >> 20} MB are left"
        # btrfs has no fixed number of files and reports 0.
        if found.f_files and 100 * (found.f_files - found.f_favail) >= full.per_cent * found.f_files:
            return f"{place} is full: there is no room for more files"
    return None
