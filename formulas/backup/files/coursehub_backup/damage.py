"""What restic could not read during a restore. It leaves such a file in its place, with zeros where the content was."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

#: Errors about a file's rights or times begin with the system call. Its content is whole.
_RIGHTS = re.compile(r"(?i)l?chown|f?chmod|utime|l?(set|remove|list)xattr|xattr|chtimes")


@dataclass(frozen=True)
class Error:
    """One error: restic's words, and the path below the directory of the restore."""

    message: str
    path: str


def errors(said: bytes) -> Iterator[Error]:
    """The errors on restic's standard error."""
    for line in said.decode(errors="replace").splitlines():
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
    """Remove the file that an error left in ``into``, which only root can enter."""
    path = into / error.path.lstrip("/")
    if _RIGHTS.match(error.message) or ".." in path.parts or not path.parent.is_dir():
        return
    # restic writes bytes that are no text as question marks in a box.
    alike = [one for one in path.parent.iterdir() if _shown(one.name) == path.name]
    for one in alike:
        if one.is_file() and not one.is_symlink():
            one.unlink()


def _shown(name: str) -> str:
    return name.encode(errors="surrogateescape").decode(errors="replace")
