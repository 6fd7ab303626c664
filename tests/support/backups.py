"""What tests of backups share: a configuration, restic itself, and a manifest of a tree."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import Any

from coursehub_backup.config import Config, Target


def config_of(root: Path, *targets: Target, **changes: Any) -> Config:
    """A configuration whose homes are ``root/home``."""
    given: dict[str, Any] = {
        "targets": targets,
        "sources": (str(root / "home"),),
        "exclude": (),
        "databases": (),
        "keep": {"hourly": 3},
        "hours": None,
        "upload_kib": 0,
        "homes": root / "home",
        "server": "0123456789abcdef0123456789abcdef",
        "restic_from": "",
        "alert_command": "",
        "alert_webhook": "",
    }
    return Config(**{**given, **changes})


def manifest(root: Path) -> dict[bytes, tuple[Any, ...]]:
    """All below a directory by its name: kind, mode, owner, time, content, and which names are one file."""
    found: dict[bytes, tuple[Any, ...]] = {}
    first: dict[tuple[int, int], bytes] = {}
    for directory, names, files in os.walk(root):
        for path in (Path(directory, name) for name in sorted([*names, *files])):
            seen = path.lstat()
            kind = stat.S_IFMT(seen.st_mode)
            if stat.S_ISSOCK(seen.st_mode):
                continue
            content = ""
            if stat.S_ISREG(seen.st_mode):
                content = hashlib.sha256(path.read_bytes()).hexdigest()
            elif stat.S_ISLNK(seen.st_mode):
                content = str(path.readlink())
            short = os.fsencode(path.relative_to(root))
            one = first.setdefault((seen.st_dev, seen.st_ino), short) if kind == stat.S_IFREG else short
            # A link's mode means nothing.
            mode = 0 if stat.S_ISLNK(seen.st_mode) else stat.S_IMODE(seen.st_mode)
            found[short] = (kind, mode, seen.st_uid, seen.st_gid, seen.st_mtime_ns, content, one)
    return found
