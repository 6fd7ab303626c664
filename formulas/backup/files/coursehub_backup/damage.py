"""What restic could not read during a restore. It leaves such a file in its place, with zeros where the content was."""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

#: Errors about a file's rights or times begin with the system call. Its content is whole.
_RIGHTS = re.compile(r"(?i)l?chown|f?chmod|utime|l?(set|remove|list)xattr|xattr|chtimes")
_BOX = "\ufffd"
#: Bytes that are no text, as Python writes them in names.
_NO_TEXT = re.compile("[\udc80-\udcff]")


@dataclass(frozen=True)
class Error:
    """One error: restic's words, and the path below the directory of the restore."""

    message: str
    path: str


def errors(said: bytes) -> Iterator[Error]:
    """The errors on restic's standard error."""
    for raw in said.split(b"\n"):
        line = raw.decode(errors="surrogateescape")
        if line.startswith("{"):
            found = {}
            with contextlib.suppress(ValueError):
                found = json.loads(line)
            if found.get("message_type") == "error":
                yield Error((found.get("error") or {}).get("message", ""), found.get("item", ""))
        elif line.startswith("ignoring error for "):
            # restic before 0.17.
            path, _, message = line.removeprefix("ignoring error for ").partition(": ")
            yield Error(message, path)


def remove(error: Error, into: Path) -> None:
    """Remove the file that an error left in ``into``, which only root can enter. Follows no link below it."""
    names = [name for name in error.path.split("/") if name not in ("", ".")]
    if _RIGHTS.match(error.message) or ".." in names or not names:
        return
    *folders, last = names
    found = [into]
    for name in folders:
        # Several folders can have the same name on restic's standard error.
        found = [one for folder in found for one in _alike(folder, name) if stat.S_ISDIR(one.lstat().st_mode)]
    for one in (one for folder in found for one in _alike(folder, last)):
        if stat.S_ISREG(one.lstat().st_mode):
            one.unlink()


def _alike(folder: Path, name: str) -> list[Path]:
    """What restic may mean by ``name``: it writes each byte that is no text as a question mark in a box."""
    name = _shown(name)
    if _BOX not in name:
        return [folder / name] if os.path.lexists(folder / name) else []
    return [one for one in folder.iterdir() if _shown(one.name) == name] if folder.is_dir() else []


def _shown(name: str) -> str:
    return _NO_TEXT.sub(_BOX, name)
