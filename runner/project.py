"""Where things are: the repository's rooms and the state directory that git never sees."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Project:
    """One working copy: everything is read below ``root``, everything kept goes below ``root/.coursehub``."""

    root: Path

    @classmethod
    def here(cls) -> Project:
        """Return the project of ``COURSEHUB_ROOT``, or the one this package lies in."""
        configured = os.environ.get("COURSEHUB_ROOT")
        return cls(Path(configured).resolve() if configured else Path(__file__).resolve().parent.parent)

    @property
    def state(self) -> Path:
        """The private directory (0700): keys, passwords, roster, locks, the local cloud's state."""
        path = self.root / ".coursehub"
        path.mkdir(mode=0o700, exist_ok=True)
        return path

    @property
    def courses(self) -> Path:
        """Where the course files are."""
        return self.root / "pillar" / "courses"

    def course_file(self, course_id: str) -> Path:
        """The one file that a teacher edits for this course."""
        return self.courses / f"{course_id}.sls"

    @property
    def logos(self) -> Path:
        """Where the pictures of the courses' pages are."""
        return self.root / "pillar" / "files" / "logos"

    @property
    def data(self) -> Path:
        """Where the courses' small data sets are."""
        return self.root / "pillar" / "files" / "data"

    @property
    def secrets(self) -> Path:
        """Where what must not be read in git lies, encrypted."""
        return self.root / "pillar" / "secrets"

    def secrets_file(self, course_id: str) -> Path:
        """A course's secrets, each value encrypted by itself."""
        return self.secrets / f"{course_id}.sls"

    def people_file(self, course_id: str) -> Path:
        """A course's class list, encrypted as a whole."""
        return self.secrets / f"{course_id}-people.sls"

    def shown(self, path: Path) -> str:
        """``path`` as the user knows it: relative to the root where it lies below it."""
        return str(path.relative_to(self.root)) if path.is_relative_to(self.root) else str(path)
