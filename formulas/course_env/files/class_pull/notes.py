"""What a student has to hear of the pulls into each directory, kept until a page has shown it.

A link that is clicked twice, or a page that is opened again, pulls twice, and the second pull has nothing to say.
"""

from pathlib import Path
from typing import Any

Note = dict[str, str]


class Notes:
    """The notes of one student's server, by directory (absolute)."""

    def __init__(self) -> None:
        self._notes: dict[Path, list[Note]] = {}
        self._shown: set[Path] = set()

    def begin(self, home: Path) -> None:
        """A pull into ``home`` begins: what was shown before is not shown again."""
        if home in self._shown:
            self._shown.remove(home)
            del self._notes[home]

    def add(self, home: Path, notes: list[Note]) -> None:
        """Have ``notes`` shown with those that still wait; one that waits already is not shown twice."""
        waiting = self._notes.setdefault(home, [])
        waiting += [note for note in notes if note not in waiting]

    def show(self, home: Path) -> list[Note]:
        """What a page is to show now, and again when it is loaded again before the next pull."""
        self._shown.update({home} & self._notes.keys())
        return self._notes.get(home, [])


def notes_of(settings: dict[str, Any]) -> Notes:
    """Those of the server with these ``settings`` (its tornado application's)."""
    notes: Notes = settings.setdefault("class_pull_notes", Notes())
    return notes
