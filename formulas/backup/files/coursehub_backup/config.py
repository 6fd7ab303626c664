"""What Salt wrote down: what is saved, where to, for how long."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PLACE = Path("/etc/coursehub-backup")
STATE = Path("/var/lib/coursehub-backup")
CACHE = Path("/var/cache/coursehub-backup")


@dataclass(frozen=True)
class Target:
    """One restic repository."""

    name: str
    repository: str
    """As restic takes it, such as ``sftp:hub@backup.example.edu:/backups/physics``."""
    options: tuple[str, ...] = ()
    """For restic's ``-o``."""
    environment: Mapping[str, str] | None = None
    """What restic reads its credentials from."""
    append_only: bool = False
    """Whether its credentials cannot delete: who keeps the target thins it out."""


@dataclass(frozen=True)
class Config:
    """The whole of it."""

    targets: tuple[Target, ...]
    sources: tuple[str, ...]
    """Directories and files; those that are not there are left out."""
    exclude: tuple[str, ...]
    """Patterns, as restic's ``--exclude`` takes them."""
    databases: tuple[str, ...]
    """SQLite files. Each is saved as a copy that SQLite made, and not as it lies on the disk."""
    keep: Mapping[str, int]
    """How many of the last hours, days, weeks and months keep a snapshot each."""
    hours: tuple[int, int] | None
    """The hours of the day in which a backup is made each hour, the last one included."""
    upload_kib: int
    """KiB in a second; 0 is no limit."""
    homes: Path
    server: str
    """The server's machine-id, the tag of its snapshots."""
    restic_from: str
    """The Debian release that restic is taken from; empty is the server's own."""
    alert_command: str
    alert_webhook: str

    @property
    def staging(self) -> Path:
        """Where copies of databases are made."""
        return STATE / "databases"

    def staged(self, database: str) -> Path:
        """The copy of one database."""
        return self.staging / database.strip("/").replace("/", "--")


def load(path: Path = PLACE / "config.json") -> Config:
    """Read the configuration. Raises OSError where there is none."""
    given = json.loads(path.read_text())
    return Config(
        targets=tuple(
            Target(
                name=name,
                repository=one["repository"],
                options=tuple(one.get("options", ())),
                environment=one.get("environment") or {},
                append_only=bool(one.get("append_only")),
            )
            for name, one in sorted(given["targets"].items())
        ),
        sources=tuple(given["sources"]),
        exclude=tuple(given["exclude"]),
        databases=tuple(given["databases"]),
        keep=given["keep"],
        hours=tuple(given["hours"]) if given["hours"] else None,
        upload_kib=given["upload_kib"],
        homes=Path(given["homes"]),
        server=Path("/etc/machine-id").read_text(encoding="ascii").strip(),
        restic_from=given["restic_from"],
        alert_command=given["alert"].get("command") or "",
        alert_webhook=given["alert"].get("webhook") or "",
    )
