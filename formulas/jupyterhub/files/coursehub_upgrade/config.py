"""Where the parts of the hub are on this server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE = Path("/etc/coursehub/upgrade.json")


@dataclass(frozen=True)
class Config:
    """The paths of the hub, and the account that signs in to a trial."""

    place: Path
    """Only root can enter it."""
    allowed: Path
    """While this file exists, states may change the hub's version (salt/_states/hub_version.py)."""
    went_back: Path
    """While this file exists, the version before serves, and states may not change it."""
    hub: Path
    course: Path
    state: Path
    database: Path
    salt: Path
    account: str
    groups: tuple[str, ...]
    check: str
    """The account that signs in for `coursehub check`."""
    saved: tuple[Path, ...]
    """What makes up a version of the hub, without its environments and its database."""
    copied: tuple[Path, ...]
    """Directories into which the states of a version write; a trial gets copies of them."""

    @property
    def trial(self) -> Path:
        """The trial's copies."""
        return self.place / "trial"

    @property
    def closed(self) -> Path:
        """The directory around the trial's sockets; students cannot enter it."""
        return Path("/run/coursehub-trial")

    @property
    def sockets(self) -> Path:
        """The trial's sockets; the hub's own are in /run/coursehub. The states set this directory's mode."""
        return self.closed / "run"

    @property
    def before(self) -> Path:
        """The version before the last upgrade that changed more than settings."""
        return self.place / "before"

    @property
    def switch(self) -> Path:
        """While an upgrade is under way: what served when it began."""
        return self.place / "switch"

    @property
    def parents(self) -> tuple[Path, ...]:
        """The directories with one environment for each lock."""
        return (self.hub / "hub", self.hub / "proxy", self.course / "envs", self.course / "pdf")

    def environments(self) -> Iterator[Path]:
        """The complete environments on this server."""
        for parent in self.parents:
            for stamp in sorted(parent.glob("*/.complete")):
                if not stamp.parent.is_symlink():
                    yield stamp.parent

    def copy_of(self, path: Path) -> Path:
        """Where the trial's copy of ``path`` is."""
        return self.trial / "files" / path.relative_to("/")


def read(path: Path = FILE) -> Config:
    """Read the configuration that Salt wrote."""
    found = json.loads(path.read_text())
    single = ("place", "allowed", "went_back", "hub", "course", "state", "database", "salt")
    paths: dict[str, Any] = {key: Path(found[key]) for key in single}
    paths |= {key: tuple(map(Path, found[key])) for key in ("saved", "copied")}
    return Config(**paths, account=found["account"], groups=tuple(found["groups"]), check=found["check"])
