"""The student's own files in a copy of the course's material: what may be written, and under which name."""

import datetime
import os
from collections.abc import Container, Iterator
from pathlib import Path

from class_pull.git import Git
from class_pull.notes import Note

#: Jupyter's own copies: nobody wants to hear of them.
CHECKPOINTS = ".ipynb_checkpoints"
#: What git needs in a repository and what must be the student's own, not a link to somebody else's.
_PARTS = ("", "objects", "refs", "HEAD", "index", "shallow", "packed-refs", "logs")


def is_own(home: Path) -> bool:
    """Whether ``home`` is a folder or file of the student's, or leads elsewhere: then the course leaves it alone.

    A folder that is a link, or whose repository is one, may be another person's to write, such as a team's.
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
    """The files of one copy at ``home``. ``told`` is what was renamed: true whatever happens then."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.told: list[Note] = []
        self._given: set[Path] = set()

    def write_beside(self, git: Git, things: dict[str, str], written: list[Path]) -> list[Note]:
        """Write the course's versions as new files, never over one that is there; what to tell.

        Each is in ``written`` as soon as it is begun.
        """
        told = []
        for name, thing in things.items():
            content = git.run("cat-file", "--filters", f"--path={name}", thing)
            path = self.free(name, "teacher")
            with path.open("xb") as handle:
                written.append(path)
                handle.write(content)
            told.append({"kind": "kept", "path": name, "beside": self.inside(path)})
        return told

    def make_way(self, names: list[str], tracked: Container[str]) -> Iterator[str]:
        """Rename what of the student's own stands where new files go, or where their directories go.

        ``tracked`` holds the names in the student's version: of those git takes care. Yields lines of a log.
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
                    self.told.append({"kind": "moved", "path": one, "beside": self.inside(new)})
                yield f"{old} is now {new}\n"

    def _has_own(self, name: str, tracked: Container[str]) -> bool:
        """Whether there is more at ``name`` than git may take away, as it is in a version."""
        if not self._is_directory(name):
            return True
        files = (path for path in (self.home / name).rglob("*") if path.is_symlink() or not path.is_dir())
        return any(str(path.relative_to(self.home)) not in tracked for path in files)

    def free(self, name: str, whose: str) -> Path:
        """Return a path beside ``name`` that nothing has: ``lab1_teacher-2026-11-25.ipynb``."""
        path = self.home / name
        # A file's name has at most 255 bytes; half a letter is none.
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
        """Return a path as it is called in the copy."""
        return os.path.relpath(path, self.home)

    def put_aside(self) -> Path:
        """Rename the whole copy; its new path: ``labs_backup_20261125-101500``."""
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
