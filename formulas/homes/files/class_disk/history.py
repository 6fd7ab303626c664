"""Earlier versions: hourly and daily read-only snapshots of each owner's directory. They do not count for limits.

A version takes space for data that the directory no longer has. An owner's versions may take as much space as the
owner's limit; then the oldest are deleted. Otherwise somebody who rewrites everything every hour would fill the disk
within a day.
"""

from __future__ import annotations

import datetime
import json
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from class_disk import btrfs
from class_disk.failing import Failures
from class_disk.limits import limit_of
from class_disk.owners import Owner, owners

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from class_disk.config import Config

#: Such as "2026-11-30 09.00 Monday": sorts by time, and is a valid file name on every system.
NAME = "%Y-%m-%d %H.%M %A"
#: Versions are deleted when less than SHORT per cent of the disk is free, until ENOUGH per cent is free.
SHORT, ENOUGH = 10, 15
#: Seconds to wait for the kernel to free what was deleted.
FREEING = 60


class Version(NamedTuple):
    """One snapshot of an owner's directory."""

    path: Path
    subvolume: btrfs.Subvolume


def take(config: Config) -> list[str]:
    """Take a version of each directory that changed, then delete old ones. Returns the owners with a new version.

    Raises OSError; if single owners failed, when all others are done.
    """
    btrfs.sync(config.top)
    used, costs, taken = btrfs.usage(config.top), _Costs(config), []
    everybody = owners(config)
    total = shutil.disk_usage(config.disk).total
    failures = Failures()
    for owner in everybody:
        with failures.of(owner.name, owner.gid):
            if _take(config, owner, used, costs):
                taken.append(owner.title)
    for owner in everybody:
        with failures.of(owner.name, owner.gid):
            _within(config, owner, limit_of(owner, config, total, len(everybody)), costs)
    relieve(config, failures, costs)
    failures.report()
    return taken


def _take(config: Config, owner: Owner, used: dict[int, btrfs.Usage], costs: _Costs) -> bool:
    now, before = btrfs.info(owner.path), versions(config, owner.name)
    if before and now.changed <= before[-1].subvolume.created:
        return False
    directory = config.history / owner.name
    directory.mkdir(parents=True, exist_ok=True)
    btrfs.snapshot(owner.path, directory, _name(directory))
    # From now on the version keeps the data that so far only the directory had.
    costs.add(owner.name, used[now.number].exclusive if now.number in used else 0)
    for old in outdated(versions(config, owner.name), config.hourly, config.daily):
        costs.delete(owner.name, old, used)
    return True


def versions(config: Config, name: str) -> list[Version]:
    """Return an owner's versions, oldest first."""
    directory = config.history / name
    try:
        paths = [path for path in directory.iterdir() if btrfs.is_subvolume(path)]
    except FileNotFoundError:
        return []
    return sorted((Version(path, btrfs.info(path)) for path in paths), key=lambda one: one.subvolume.created)


def outdated(found: Sequence[Version], hourly: int, daily: int) -> list[Version]:
    """Return the versions to delete. Kept is the last one in each of the last hours and days that have one."""
    kept: set[Path] = set()
    for pattern, count in (("%Y-%m-%d %H", hourly), ("%Y-%m-%d", daily)):
        moments = ((datetime.datetime.fromtimestamp(one.subvolume.created_at), one.path) for one in found)
        latest = {moment.strftime(pattern): path for moment, path in moments}
        kept.update(list(latest.values())[-count:] if count else [])
    return [one for one in found if one.path not in kept]


def relieve(config: Config, failures: Failures, costs: _Costs | None = None) -> int:
    """If the disk is nearly full, delete the oldest versions of the owner with the most, until it is not.

    Returns how many were deleted. Raises OSError; errors of single owners go into ``failures``.
    """
    costs = costs or _Costs(config)
    gone = 0
    stuck: set[str] = set()
    groups = {owner.name: owner.gid for owner in owners(config)}
    room = _free(config)
    while room < (SHORT if not gone else ENOUGH):
        kept: dict[str, list[Version]] = {}
        for name in set(_names(config)) - stuck:
            with failures.of(name, groups.get(name)):
                kept[name] = versions(config, name)
        candidates = [name for name, found in kept.items() if len(found) > 1]
        if not candidates:
            break
        most = max(candidates, key=costs.of)
        used = btrfs.usage(config.top)
        with failures.of(most, groups.get(most)):
            costs.delete(most, kept[most][0], used)
        if btrfs.is_subvolume(kept[most][0].path):
            stuck.add(most)
            continue
        gone += 1
        _wait_until_freed(config)
        room = _free(config)
    return gone


def _within(config: Config, owner: Owner, most: int, costs: _Costs) -> None:
    """Delete an owner's oldest versions while they take more than ``most`` bytes besides what the directory has."""
    found = versions(config, owner.name)
    if len(found) < 2 or costs.of(owner.name) <= most:
        return
    number = btrfs.info(owner.path).number
    while len(found) > 1:
        used = btrfs.usage(config.top)
        if number not in used or costs.of(owner.name) - (used[number].used - used[number].exclusive) <= most:
            return
        costs.delete(owner.name, found.pop(0), used)
        _wait_until_freed(config)


class _Costs:
    """The bytes that each owner's versions refer to. No btrfs command tells that, so they are counted here.

    A snapshot adds the bytes that only the directory referred to just before it. Deleting a snapshot subtracts the
    bytes that only it referred to. The counts are stored next to the versions.
    """

    def __init__(self, config: Config) -> None:
        self._file = config.history / "costs.json"
        try:
            self._bytes: dict[str, int] = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            self._bytes = {}

    def of(self, name: str) -> int:
        return self._bytes.get(name, 0)

    def add(self, name: str, more: int) -> None:
        self._bytes[name] = self.of(name) + more
        self._write()

    def delete(self, name: str, version: Version, used: dict[int, btrfs.Usage]) -> None:
        btrfs.delete(version.path.parent, version.path.name)
        usage = used.get(version.subvolume.number)
        self._bytes[name] = max(self.of(name) - (usage.exclusive if usage else 0), 0)
        self._write()

    def _write(self) -> None:
        new = self._file.with_suffix(".new")
        new.write_text(json.dumps(self._bytes), encoding="utf-8")
        new.replace(self._file)


def _name(directory: Path) -> str:
    name = datetime.datetime.now().strftime(NAME)
    # A name can repeat when clocks go back, or when two versions are taken by hand within a minute.
    return next(one for one in (name, *(f"{name} ({n})" for n in range(2, 1000))) if not (directory / one).exists())


def _names(config: Config) -> Iterable[str]:
    yield "shared"
    for kind in ("home", "groups"):
        try:
            yield from (f"{kind}/{path.name}" for path in (config.history / kind).iterdir())
        except FileNotFoundError:
            continue


def _free(config: Config) -> float:
    room = shutil.disk_usage(config.disk)
    return 100 * room.free / room.total


def _wait_until_freed(config: Config) -> None:
    # This wakes the kernel's cleaner. Otherwise it starts with the next commit, up to 30 s later.
    btrfs.sync(config.top)
    argv = ["btrfs", "subvolume", "sync", config.disk]
    try:
        subprocess.run(argv, capture_output=True, check=False, timeout=FREEING)
    except subprocess.TimeoutExpired:
        return
    btrfs.sync(config.top)
