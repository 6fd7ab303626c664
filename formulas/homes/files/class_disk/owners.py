"""The owners of directories on the disk: people, teams, and everybody together."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from class_disk import btrfs

if TYPE_CHECKING:
    from class_disk.config import Config


@dataclass(frozen=True)
class Owner:
    """The owner of a subvolume.

    ``name`` is ``home/NAME``, ``groups/NAME`` or ``shared``. The group ``gid`` may read the owner's usage.
    """

    name: str
    path: Path
    gid: int

    @property
    def title(self) -> str:
        """The name that a teacher knows."""
        return self.name.removeprefix("home/")


def owners(config: Config) -> list[Owner]:
    """Return all owners, sorted. A directory that is not a subvolume has no limit and no history."""
    found = [Owner(f"home/{name}", config.homes / name, 0) for name in _names(config.homes)]
    found += [Owner(f"groups/{name}", config.shared / "groups" / name, 0) for name in _names(config.shared / "groups")]
    found.append(Owner("shared", config.shared / "shared", 0))
    there = []
    for one in found:
        # It may be removed just now.
        with suppress(FileNotFoundError):
            if btrfs.is_subvolume(one.path):
                there.append(Owner(one.name, one.path, one.path.stat().st_gid))
    return there


def _names(directory: Path) -> list[str]:
    try:
        return sorted(path.name for path in directory.iterdir() if not path.name.startswith("."))
    except FileNotFoundError:
        return []
