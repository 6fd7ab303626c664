"""What a student has to hear of the pulls into each directory, kept until a page has shown it.

A link that is clicked twice, or a page that is closed before the pull's end, pulls once more, and the next pull has
nothing new to say. They are in a file of the student's, as a server ends with the class.
"""

import contextlib
import copy
import json
import threading
from collections.abc import Iterator
from pathlib import Path

Note = dict[str, str]

#: Pulls run in threads beside the server's pages.
_lock = threading.Lock()


def forget_shown(home: Path) -> None:
    """A pull into ``home`` (absolute) begins: what a page has shown is not shown again."""
    with _known() as known:
        known.get(str(home), {}).pop("shown", None)


def forget(home: Path) -> None:
    """A new directory begins at ``home``: nothing that was to be told is true of it."""
    with _known() as known:
        known.pop(str(home), None)


def add(home: Path, notes: list[Note]) -> None:
    """Have ``notes`` shown with those that still wait; one that waits already is not shown twice."""
    with _known() as known:
        if notes:
            waiting = known.setdefault(str(home), {}).setdefault("waiting", [])
            waiting += [note for note in notes if note not in waiting]


def show(home: Path) -> list[Note]:
    """What a page is to show now, and again when it is loaded again before the next pull."""
    with _known() as known:
        here = known.get(str(home), {})
        if here:
            here["shown"] = [*here.get("shown", []), *here.pop("waiting", [])]
        return list(here.get("shown", []))


@contextlib.contextmanager
def _known() -> Iterator[dict[str, dict[str, list[Note]]]]:
    """All notes, by directory and by whether a page has shown them; what the block changes is kept."""
    path = Path.home() / ".local/share/class_pull.json"
    with _lock:
        try:
            known = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            # None yet, or not ours any more.
            known = {}
        before = copy.deepcopy(known)
        yield known
        if known != before:
            path.parent.mkdir(parents=True, exist_ok=True)
            new = path.with_suffix(".new")
            new.write_text(json.dumps(known), encoding="utf-8")
            new.replace(path)
