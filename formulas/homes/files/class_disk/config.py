"""The configuration that the formula writes, and the paths on the disk."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

CONFIG = Path("/etc/coursehub/class-disk.json")
#: The current usage. `coursehub status`, the page of students' work and each person's Lab read it.
REPORTS = Path("/run/coursehub-disk")
GIB = 1 << 30
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": GIB}


@dataclass(frozen=True)
class Config:
    """The content of CONFIG; the formula's defaults.yaml explains each value."""

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
        """Read the file. Raises OSError, ValueError."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))

    @property
    def top(self) -> Path:
        """The disk's mount point, which only root can enter."""
        return Path(self.disk)

    @property
    def given_limit(self) -> int | None:
        """The limit of each owner in bytes, from the course file; None if it sets none."""
        return int(self.each[:-1]) * _UNITS[self.each[-1]] if self.each else None

    @property
    def homes(self) -> Path:
        """The directory that is mounted as the root of homes."""
        return self.top / "homes"

    @property
    def shared(self) -> Path:
        """The directory that is mounted as the root of the shared directories."""
        return self.top / "class"

    @property
    def history(self) -> Path:
        """The directory of earlier versions, with a directory for each owner."""
        return self.top / "history"
