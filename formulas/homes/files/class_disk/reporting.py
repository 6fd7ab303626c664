"""Writes who uses how much: a file for each owner, which Lab reads, and a summary for teachers, readable for root."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, Any

from class_disk import btrfs, history, limits
from class_disk.failing import Failures
from class_disk.owners import owners

if TYPE_CHECKING:
    from pathlib import Path

    from class_disk.config import Config


def look(config: Config, directory: Path) -> dict[str, Any]:
    """Set missing limits, free space if the disk is nearly full, and write the usage. Returns the teachers' summary.

    Raises OSError; if single owners failed, when all others are done and the summary is written.
    """
    used, failures = btrfs.usage(config.top), Failures()
    if limits.set_all(config, used, failures):
        used = btrfs.usage(config.top)
    history.relieve(config, failures)
    short: list[tuple[float, dict[str, Any]]] = []
    for owner in owners(config):
        with failures.of(owner.name, owner.gid):
            known = used.get(btrfs.info(owner.path).number)
            if known is None or known.limit is None:
                continue
            document = {"used": known.used, "limit": known.limit}
            _write(directory / f"{owner.name}.json", document, owner.gid)
            if known.used * 100 >= known.limit * config.warn_percent:
                short.append((known.used / known.limit, {"name": owner.title, **document}))
    room = shutil.disk_usage(config.disk)
    summary = {
        "total": room.total,
        "free": room.free,
        "short": [one for _, one in sorted(short, key=lambda pair: pair[0], reverse=True)],
    }
    _write(directory / "summary.json", summary, 0)
    failures.report()
    return summary


def _write(path: Path, document: dict[str, Any], gid: int) -> None:
    """Write a document atomically, readable for the group."""
    words = json.dumps(document)
    try:
        if path.read_text(encoding="utf-8") == words and path.stat().st_gid == gid:
            return
    except OSError:
        path.parent.mkdir(mode=0o711, exist_ok=True)
        path.parent.chmod(0o711)
    new = path.with_name(f".{path.name}")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(words)
        os.fchown(file.fileno(), 0, gid)
        os.fchmod(file.fileno(), 0o640 if gid else 0o600)
    new.replace(path)
