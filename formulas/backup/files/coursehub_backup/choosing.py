"""Chooses the backup that a whole server is restored from."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from coursehub_backup import report, restoring, state
from coursehub_backup.config import Config, Target
from coursehub_backup.restic import NO_REPOSITORY, Restic, ResticError
from coursehub_backup.restoring import RestoreError, Version

#: A newest backup with a smaller part of another server's data is probably one of a server that was never filled.
SUSPICIOUS = 0.5


def targets(config: Config, name: str | None) -> tuple[Target, ...]:
    """The target with this name; without a name, all. Raises RestoreError if there is none."""
    found = tuple(target for target in config.targets if name in (None, target.name))
    if not config.targets:
        raise RestoreError("the course has no backup target")
    if not found:
        known = ", ".join(target.name for target in config.targets)
        raise RestoreError(f"there is no target {name}; there are: {known}")
    return found


def good(config: Config) -> list[Target]:
    """The targets to which this server has made a good backup, the one with the newest first."""
    record = state.read().get("targets", {})
    times = {target.name: record.get(target.name, {}).get("ok") or 0 for target in config.targets}
    found = [target for target in config.targets if times[target.name]]
    return sorted(found, key=lambda target: times[target.name], reverse=True)


def best(config: Config, name: str | None) -> Target:
    """The target with this name; without a name, the one with the newest good backup. Raises RestoreError."""
    found = targets(config, name)
    return next((target for target in good(config) if target in found), found[0])


def check(config: Config, target: str | None, when: str | None) -> None:
    """Raises RestoreError if the options name no target or no time."""
    targets(config, target)
    if when is not None:
        restoring.moment_of(when, datetime.datetime.now().astimezone())


def versions(restics: Sequence[Restic]) -> list[Version]:
    """The snapshots at all these targets, the newest first. Raises RestoreError if one of them does not answer."""
    found = []
    for restic in restics:
        try:
            found += restoring.snapshots(restic)
        except ResticError as error:
            if error.code == NO_REPOSITORY:
                # A new target, which has had no backup yet.
                continue
            others = [one.target.name for one in restics if one is not restic]
            hint = f"; without it: --target {' or '.join(others)}" if others else ""
            raise RestoreError(f"{error}{hint}") from None
    return restoring.newest_first(found)


def listing_of(restics: Sequence[Restic], path: Path) -> list[Version]:
    """The different versions of a file or directory at all these targets, the newest first. Raises RestoreError."""
    there = {one.target for one in versions(restics)}
    found: dict[tuple[int | None, str], Version] = {}
    for restic in restics:
        for one in restoring.listing(restic, path) if restic.target.name in there else ():
            known = found.setdefault((one.size, one.mtime), one)
            found[one.size, one.mtime] = min(known, one, key=lambda version: version.at)
    return sorted(found.values(), key=lambda one: one.at, reverse=True)


def find(restics: Sequence[Restic], server: str, when: str | None) -> Version:
    """The snapshot to restore. Without ``when`` the one of the last run, if it is at one of these targets.

    Raises RestoreError.
    """
    if when is None:
        before = state.read(report.RECORD)
        for restic in restics:
            if restic.target.name == before.get("target"):
                for one in restoring.snapshots(restic):
                    if one.snapshot == before.get("snapshot"):
                        return one
    found = versions(restics)
    if when is None and all(one.server == server for one in found):
        places = " or ".join(restic.target.name for restic in restics)
        raise RestoreError(f"there is no backup of another server at {places}; --at restores one of this server")
    return choose(found, server, when)


def choose(found: list[Version], server: str, when: str | None) -> Version:
    """The newest snapshot of another server, or the newest of any at ``when``. Raises RestoreError.

    Without ``when``, a newest snapshot with much less in it than another server's last one is refused.
    """
    if when is not None:
        return restoring.at(found, when)
    others = [one for one in found if one.server != server]
    chosen = restoring.at(others, None)
    last: dict[str, Version] = {}
    for one in others:
        last.setdefault(one.server, one)
    for one in last.values():
        if one.size is not None and chosen.size is not None and chosen.size < SUSPICIOUS * one.size:
            raise RestoreError(
                f"the newest backup has only {_size(chosen)}, and the last one of another server has {_size(one)}; say "
                f"which: {chosen.options} for the newest, or {one.options} for the other"
            )
    return chosen


def _size(version: Version) -> str:
    return f"{(version.size or 0) / 1e6:.1f} MB"


def listing(found: list[Version], server: str) -> list[dict[str, Any]]:
    """The snapshots, each with its server (empty: this one), its target, and the bytes in it."""
    return [
        {
            "at": one.at.isoformat(),
            "server": one.server[:8] if one.server != server else "",
            "target": one.target,
            "size": one.size,
        }
        for one in found
    ]
