"""What the formula says of the disk, and where its parts are."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

CONFIG = Path("/etc/coursehub/class-disk.json")
#: What is so now, for whoever asks: `coursehub status`, the page of students' work, each person's Lab.
TOLD = Path("/run/coursehub-disk")
GIB = 1 << 30
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": GIB}


@dataclass(frozen=True)
class Config:
    """From CONFIG; the formula's defaults.yaml says what each is."""

    image: str
    disk: str
    home_root: str
    class_root: str
    reserve_percent: int
    reserve_least: int
    shared_out_percent: int
    each: str | None
    each_most: int
    each_least: int
    common_percent: int
    warn_percent: int
    hourly: int
    daily: int

    @classmethod
    def read(cls, path: Path = CONFIG) -> Config:
        """Read it. Raises OSError, ValueError."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))

    @property
    def top(self) -> Path:
        """The disk's own directory, which root alone enters."""
        return Path(self.disk)

    @property
    def said(self) -> int | None:
        """The bytes of each owner that the course file says, such as 2G; None where it says nothing."""
        return int(self.each[:-1]) * _UNITS[self.each[-1]] if self.each else None

    @property
    def homes(self) -> Path:
        """The directory that becomes the root of homes."""
        return self.top / "homes"

    @property
    def shared(self) -> Path:
        """The directory that becomes the root of what the class shares."""
        return self.top / "class"

    @property
    def history(self) -> Path:
        """Where earlier versions are, a directory for each owner."""
        return self.top / "history"
