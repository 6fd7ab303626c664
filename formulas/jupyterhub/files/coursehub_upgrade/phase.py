"""How far an upgrade is, in one small file, so that an interrupted one can be finished or taken back.

``runner/hub/halfway.py`` reads the file with a shell, so it has a simple form: the name, then a line of JSON.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

#: Nothing is under way; ``serves`` says which version.
IDLE = "idle"
#: A trial runs beside the hub. Nothing that serves was changed.
TRYING = "trying"
#: The states change the hub. Interrupted, the version before comes back.
SWITCHING = "switching"
#: The version before is being put back.
BACK = "back"


def read(place: Path) -> tuple[str, dict[str, Any]]:
    """The phase and what is known about it."""
    try:
        name, _, facts = (place / "phase").read_text().partition("\n")
        return name, json.loads(facts or "{}")
    except (OSError, ValueError):
        return IDLE, {}


def write(place: Path, name: str, **facts: Any) -> None:
    """Replace the phase in one step that survives a power cut. ``since`` (Unix time) is added."""
    replace(place / "phase", f"{name}\n{json.dumps({'since': time.time(), **facts})}\n")


def replace(path: Path, text: str) -> None:
    """Replace a file in one step that survives a power cut. Raises OSError; then it is as it was."""
    fresh = path.with_name(f"{path.name}.new")
    with fresh.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
