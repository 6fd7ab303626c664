"""Notes for the student about the pulls into each directory, kept until a page has shown them.

A student who leaves a page in the middle of a pull leaves the pull running, and the next click has nothing to report.
The notes are in a file of the student, because a server ends with the class.
"""

import contextlib
import copy
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

Note = dict[str, str]
#: Notes by directory, and by state: "waiting", or "shown" by a page.
Known = dict[str, dict[str, list[Note]]]

#: Pulls run in threads beside the server's pages.
_lock = threading.Lock()
#: Notes that could not be written, by file: a full disk must neither fail a pull nor hide the pull's own error.
_unwritten: dict[Path, Known] = {}


def begin(home: Path) -> None:
    """Start a pull into ``home`` (absolute): notes that a page has shown are removed.

    Each pull checks again whether the folder is the student's own.
    """
    with _here(home) as here:
        here.pop("shown", None)
        here["waiting"] = [note for note in here.get("waiting", []) if note["kind"] != "own"]


def forget(home: Path) -> None:
    """Remove all notes of ``home``, because another directory is there now."""
    with _here(home) as here:
        here.clear()


def add(home: Path, notes: list[Note]) -> None:
    """Add ``notes`` to those that are waiting."""
    with _here(home) as here:
        here["waiting"] = [*here.get("waiting", []), *notes]


def show(home: Path) -> list[Note]:
    """Return the notes for a page. They are returned again if it is reloaded before the next pull."""
    with _here(home) as here:
        here["shown"] = [*here.get("shown", []), *here.pop("waiting", [])]
        return here["shown"]


@contextlib.contextmanager
def _here(home: Path) -> Iterator[dict[str, list[Note]]]:
    """Yield the notes of one directory; the block's changes are saved."""
    path = Path.home() / ".local/share/class_pull.json"
    with _lock:
        known = _unwritten[path] if path in _unwritten else _read(path)
        before = copy.deepcopy(known)
        key = os.path.realpath(home)
        here = known.pop(key, {})
        yield here
        if kept := {which: notes for which, notes in here.items() if notes}:
            known[key] = kept
        if known == before:
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            new = path.with_name(f".class_pull.{os.getpid()}")
            new.write_text(json.dumps(known), encoding="utf-8")
            new.replace(path)
            _unwritten.pop(path, None)
        except OSError:
            _unwritten[path] = known


def _read(path: Path) -> Known:
    """Return the notes in the file; none if it is missing or invalid."""
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
        return {home: {which: [dict(note) for note in here[which]] for which in here} for home, here in known.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
