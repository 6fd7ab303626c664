"""The student's files in a copy of the course's material: what may be written, and under which name."""

import datetime
import os
from collections.abc import Container, Iterator
from pathlib import Path

from class_pull.git import Git
from class_pull.notes import Note

#: Jupyter's own copies; they are not reported.
CHECKPOINTS = ".ipynb_checkpoints"
#: Parts of a repository that git needs. They must be the student's own, not links to another person's.
_PARTS = ("", "objects", "refs", "HEAD", "index", "shallow", "packed-refs", "logs")


def is_own(home: Path) -> bool:
    """Return whether ``home`` is the student's own folder or file, or a link: then the course leaves it alone.

    Other people, such as a team, may be able to write to a folder that is a link, or whose repository is one.
    """
    if not os.path.lexists(home):
        return False
    mine = os.geteuid()
    if home.is_symlink() or not home.is_dir() or home.lstat().st_uid != mine:
        return True
    store = home / ".git"
    if not os.path.lexists(store):
        return any(home.iterdir())
    parts = [store / part for part in _PARTS]
    return not store.is_dir() or any(part.is_symlink() for part in parts) or store.lstat().st_uid != mine


class Files:
    """The files of one copy at ``home``. ``student_notes`` reports what was renamed, even if a later step fails."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.student_notes: list[Note] = []
        self._given: set[Path] = set()

    def write_beside(self, git: Git, things: dict[str, str], written: list[Path]) -> list[Note]:
        """Write the course's versions as new files, never over an existing one; return what to report.

        Each file is added to ``written`` as soon as it exists.
        """
        noted = []
        for name, thing in things.items():
            content = git.run("cat-file", "--filters", f"--path={name}", thing)
            path = self.free(name, "teacher")
            with path.open("xb") as handle:
                written.append(path)
                handle.write(content)
            noted.append({"kind": "kept", "path": name, "beside": self.inside(path)})
        return noted

    def make_way(self, names: list[str], tracked: Container[str]) -> Iterator[str]:
        """Rename the student's files that are in the way of new files or their directories.

        ``tracked`` has the names in the student's version; git handles those. Yields lines of a log.
        """
        for name in names:
            parts = name.split("/")
            above = ("/".join(parts[:count]) for count in range(1, len(parts)))
            blocked = [one for one in above if self._exists(one) and not self._is_directory(one) and one not in tracked]
            if not blocked and self._exists(name) and self._has_own(name, tracked):
                blocked = [name]
            for one in blocked[:1]:
                old, new = self.home / one, self.free(one, "mine")
                old.rename(new)
                if CHECKPOINTS not in parts:
                    self.student_notes.append({"kind": "moved", "path": one, "beside": self.inside(new)})
                yield f"{old} is now {new}\n"

    def _has_own(self, name: str, tracked: Container[str]) -> bool:
        """Return whether ``name`` contains more than git may remove, because it is in a version."""
        if not self._is_directory(name):
            return True
        files = (path for path in (self.home / name).rglob("*") if path.is_symlink() or not path.is_dir())
        return any(str(path.relative_to(self.home)) not in tracked for path in files)

    def free(self, name: str, whose: str) -> Path:
        """Return an unused path beside ``name``: ``lab1_teacher-2026-11-25.ipynb``."""
        path = self.home / name
        # A file's name has at most 255 bytes. An incomplete character at the end is dropped.
        stem = os.fsencode(path.stem)[:200].decode(errors="ignore")
        today = f"{stem}_{whose}-{datetime.date.today():%Y-%m-%d}"
        number = 1
        while True:
            found = path.with_name(f"{today}{'' if number == 1 else f'-{number}'}{path.suffix}")
            if found not in self._given and not os.path.lexists(found):
                self._given.add(found)
                return found
            number += 1

    def inside(self, path: Path) -> str:
        """Return a path relative to the copy."""
        return os.path.relpath(path, self.home)

    def put_aside(self) -> Path:
        """Rename the whole copy; return its new path: ``labs_backup_20261125-101500``."""
        moment = f"{self.home.name}_backup_{datetime.datetime.now():%Y%m%d-%H%M%S}"
        number = 1
        while os.path.lexists(found := self.home.with_name(f"{moment}{'' if number == 1 else f'-{number}'}")):
            number += 1
        self.home.rename(found)
        return found

    def _exists(self, name: str) -> bool:
        return os.path.lexists(self.home / name)

    def _is_directory(self, name: str) -> bool:
        path = self.home / name
        return path.is_dir() and not path.is_symlink()
