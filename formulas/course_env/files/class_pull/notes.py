"""What a student has to hear of the pulls into each directory, kept until a page has shown it.

Who leaves a page in the middle of a pull leaves the pull running, and the next click has nothing new to say. The notes
are in a file of the student's, as a server ends with the class.
"""

import contextlib
import copy
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

Note = dict[str, str]
#: By directory, and by whether a page has shown them: "waiting" or "shown".
Known = dict[str, dict[str, list[Note]]]

#: Pulls run in threads beside the server's pages.
_lock = threading.Lock()
#: What could not be written, by its file: a full disk must not fail a pull, nor take the place of its own error.
_unwritten: dict[Path, Known] = {}


def begin(home: Path) -> None:
    """A pull into ``home`` (absolute) begins: what a page has shown is not shown again.

    Whether the folder is the student's own, each pull finds out anew.
    """
    with _here(home) as here:
        here.pop("shown", None)
        here["waiting"] = [note for note in here.get("waiting", []) if note["kind"] != "own"]


def forget(home: Path) -> None:
    """Another directory than before is at ``home``: nothing that was to be told is true of it."""
    with _here(home) as here:
        here.clear()


def add(home: Path, notes: list[Note]) -> None:
    """Have ``notes`` shown with those that still wait."""
    with _here(home) as here:
        here["waiting"] = [*here.get("waiting", []), *notes]


def show(home: Path) -> list[Note]:
    """What a page is to show now, and again when it is loaded again before the next pull."""
    with _here(home) as here:
        here["shown"] = [*here.get("shown", []), *here.pop("waiting", [])]
        return here["shown"]


@contextlib.contextmanager
def _here(home: Path) -> Iterator[dict[str, list[Note]]]:
    """The notes of one directory; what the block makes of them is kept."""
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
    """What is in the file; nothing where there is none, or where it is not as we leave it."""
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
        return {home: {which: [dict(note) for note in here[which]] for which in here} for home, here in known.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
