"""Paths of the repository, and of the state directory, which is not in git."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Project:
    """One working copy. Everything is read below ``root``; all state is kept below ``root/.coursehub``."""

    root: Path

    @classmethod
    def here(cls) -> Project:
        """Return the project at ``COURSEHUB_ROOT``, or else the one that contains this package."""
        configured = os.environ.get("COURSEHUB_ROOT")
        return cls(Path(configured).resolve() if configured else Path(__file__).resolve().parent.parent)

    @property
    def state(self) -> Path:
        """The private directory (0700) for keys, passwords, the roster, locks, and the local cloud's state."""
        path = self.root / ".coursehub"
        path.mkdir(mode=0o700, exist_ok=True)
        return path

    @property
    def archives(self) -> Path:
        """The directory of the archives of terms. They are private: git ignores it, and only its owner may enter."""
        return self.root / "archives"

    @property
    def courses(self) -> Path:
        """The directory of the course files."""
        return self.root / "pillar" / "courses"

    def course_file(self, course_id: str) -> Path:
        """The one file that a teacher edits for this course."""
        return self.courses / f"{course_id}.sls"

    @property
    def logos(self) -> Path:
        """The directory of the pictures for the courses' pages."""
        return self.root / "pillar" / "files" / "logos"

    @property
    def data(self) -> Path:
        """The directory of the courses' small data sets."""
        return self.root / "pillar" / "files" / "data"

    @property
    def secrets(self) -> Path:
        """The directory of encrypted files."""
        return self.root / "pillar" / "secrets"

    def secrets_file(self, course_id: str) -> Path:
        """A course's secrets; each value is encrypted separately."""
        return self.secrets / f"{course_id}.sls"

    def people_file(self, course_id: str) -> Path:
        """A course's class list; the whole file is encrypted."""
        return self.secrets / f"{course_id}-people.sls"

    def shown(self, path: Path) -> str:
        """``path`` as shown to the user: relative to the root if it is below it."""
        return str(path.relative_to(self.root)) if path.is_relative_to(self.root) else str(path)
