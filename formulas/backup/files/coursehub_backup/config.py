"""The configuration that Salt writes: what is saved, to which targets, for how long."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coursehub_backup import notation

PLACE = Path("/etc/coursehub-backup")
STATE = Path("/var/lib/coursehub-backup")
CACHE = Path("/var/cache/coursehub-backup")


@dataclass(frozen=True)
class Target:
    """One restic repository."""

    name: str
    repository: str
    """In restic's notation, such as ``sftp:hub@backup.example.edu:/backups/physics``."""
    options: tuple[str, ...] = ()
    """For restic's ``-o``."""
    environment: Mapping[str, str] | None = None
    """Environment variables with the target's credentials."""
    append_only: bool = False
    """Whether the credentials cannot delete. Then old snapshots are deleted on the target's side, not from here."""

    @property
    def dies_with_server(self) -> bool:
        """Whether it is a directory on the server's own root disk, which is lost with the server."""
        path = Path(self.repository)
        if not path.is_absolute():
            return False
        there = next(one for one in (path, *path.parents) if one.exists())
        return there.stat().st_dev == Path("/").stat().st_dev


@dataclass(frozen=True)
class Whole:
    """What a restore of the whole server needs to know of it."""

    group: str
    """The group of everybody whose home and password are restored."""
    except_for: tuple[str, ...]
    """Accounts in that group that are nobody's."""
    shared: Path
    """The directory that the class shares."""
    marks: Path
    """The file that says who left."""
    log: Path
    """The log of who opened whose work."""
    record: Path
    """The fingerprints of the passwords that the course gave."""
    stop: tuple[str, ...]
    """Units that must not run meanwhile."""
    servers: str
    """The units in which people work, with ``*`` for the account."""


@dataclass(frozen=True)
class Full:
    """When a file system counts as full."""

    per_cent: int
    """From this use."""
    least: int
    """Below so many free bytes."""


@dataclass(frozen=True)
class Config:
    """All settings."""

    targets: tuple[Target, ...]
    sources: tuple[str, ...]
    """Directories and files; missing ones are skipped."""
    exclude: tuple[str, ...]
    """Patterns for restic's ``--exclude``."""
    databases: tuple[str, ...]
    """SQLite files. Each is saved as a copy made by SQLite; the file itself may be in the middle of a write."""
    keep: Mapping[str, int]
    """For how many of the last hours, days, weeks and months one snapshot each is kept."""
    hours: tuple[int, int] | None
    """The first and the last hour of the day with an hourly backup."""
    upload_kib: int
    """KiB per second; 0: no limit."""
    restores_only: bool
    """Whether this server never writes to its targets."""
    homes: Path
    server: str
    """The server's machine-id, the tag of its snapshots."""
    restic_from: str
    """The Debian release to install restic from; empty: the server's own."""
    alert_command: str
    alert_webhook: str
    problem: Path
    """The file for what is wrong, in one line."""
    full: Full
    """When a file system counts as full."""
    whole: Whole

    @property
    def staging(self) -> Path:
        """The directory for copies of databases."""
        return STATE / "databases"

    def staged(self, database: str) -> Path:
        """The path of one database's copy."""
        return self.staging / database.strip("/").replace("/", "--")


def load(path: Path = PLACE / "config.json") -> Config:
    """Read the configuration. Raises OSError if the file is missing."""
    given = json.loads(path.read_text())
    return Config(
        targets=tuple(
            Target(name, *notation.words(name, one, PLACE), append_only=bool(one.get("append_only")))
            for name, one in sorted(given["targets"].items())
        ),
        sources=tuple(given["sources"]),
        exclude=tuple(given["exclude"]),
        databases=tuple(given["databases"]),
        keep=given["keep"],
        hours=tuple(given["hours"]) if given["hours"] else None,
        upload_kib=given["upload_kib"],
        restores_only=given["restores_only"],
        homes=Path(given["homes"]),
        server=Path("/etc/machine-id").read_text(encoding="ascii").strip(),
        restic_from=given["restic_from"],
        alert_command=given["alert"].get("command") or "",
        alert_webhook=given["alert"].get("webhook") or "",
        problem=Path(given["problem"]),
        full=Full(**given["full"]),
        whole=_whole(given["whole"]),
    )


def _whole(given: Mapping[str, Any]) -> Whole:
    return Whole(
        group=given["group"],
        except_for=tuple(given["except_for"]),
        shared=Path(given["shared"]),
        marks=Path(given["marks"]),
        log=Path(given["log"]),
        record=Path(given["record"]),
        stop=tuple(given["stop"]),
        servers=given["servers"],
    )
