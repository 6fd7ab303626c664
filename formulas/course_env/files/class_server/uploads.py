"""The biggest file that a student may upload.

Lab sends a big file in pieces of 1 MB, so the web server's limit on a request never sees the whole file.
"""

import contextlib
import json
import re
from pathlib import Path
from typing import Any

from tornado.web import HTTPError

#: The course's settings: {"limit": "100M"}, read at each upload, so that a change restarts nobody's server.
SETTINGS = Path("/etc/jupyter/class_uploads.json")
UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def limit(settings: Path = SETTINGS) -> int | None:
    """Return the limit in bytes; None if there is none."""
    try:
        text = str(json.loads(settings.read_text(encoding="utf-8"))["limit"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    found = re.fullmatch(r"(\d+)([KMG])", text)
    return int(found[1]) * UNITS[found[2]] if found else None


class Uploads:
    """Checks the pieces of the uploads of one server."""

    def __init__(self, settings: Path = SETTINGS) -> None:
        self._settings = settings
        self._begun: set[Path] = set()

    def check(self, model: dict[str, Any], at: Path) -> None:
        """Check a piece for the file ``at`` before it is saved. Raises HTTPError (413), and removes the pieces so far.

        A file of which no piece came by an upload stays.
        """
        piece = model.get("chunk")
        if piece is None:
            return
        if piece == 1:
            self._begun.add(at)
            return
        most, content = limit(self._settings), str(model.get("content") or "")
        if model.get("format") == "base64":
            coming = len(content) * 3 // 4 - content[-2:].count("=")
        else:
            coming = len(content.encode())
        there = 0
        with contextlib.suppress(OSError):
            there = at.stat().st_size
        begun = at in self._begun
        if most is not None and there + coming > most:
            self._begun.discard(at)
            if begun:
                at.unlink(missing_ok=True)
            raise HTTPError(
                413,
                f"{at.name} is bigger than {most >> 20} MB, the most that can be uploaded in this course. "
                "Ask your teacher for a bigger limit.",
            )
        if piece == -1:
            self._begun.discard(at)
