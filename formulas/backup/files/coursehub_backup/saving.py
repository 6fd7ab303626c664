"""Makes one backup: copies the databases, then backs up to each target."""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import json
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from coursehub_backup import excess, restoring, state, trees
from coursehub_backup.config import STATE, Config, Target
from coursehub_backup.restic import HOST, INCOMPLETE, NO_REPOSITORY, Restic, ResticError

#: Seconds between two prunes and between two checks; each costs more than a backup.
PRUNE_EVERY, CHECK_EVERY = 20 * 3600, 6.5 * 86400
#: Each check reads one of this many parts of the data, so this many checks read all of it.
PARTS = 8
#: Larger files are not saved. No home has space for one, but a sparse file can have any size, and restic reads it all.
LARGEST = 20 << 30
#: Seconds between two looks during a backup for files that would keep it from ending. Most backups end before that.
LOOK_EVERY = 300.0
#: The tag of snapshots whose time had not come when old ones were deleted.
FUTURE = "from-the-future"


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Allow one backup at a time; a second one waits."""
    with (STATE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def copy_database(source: Path, copy: Path, *, seconds: float = 60) -> None:
    """Make a consistent copy of a SQLite database that is in use. Raises sqlite3.Error."""
    copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = copy.with_suffix(".new")
    new.unlink(missing_ok=True)
    with (
        contextlib.closing(sqlite3.connect(source, timeout=seconds)) as there,
        contextlib.closing(sqlite3.connect(new)) as here,
    ):
        new.chmod(0o600)
        there.backup(here)
        if here.execute("PRAGMA quick_check").fetchone() != ("ok",):
            raise sqlite3.DatabaseError("the database is damaged")
    new.replace(copy)


def run(config: Config, *, program: str = "/usr/bin/restic") -> bool:
    """Back up to every target and record the results. Returns whether all went well.

    Raises ResticError on a server that only restores.
    """
    if config.restores_only:
        raise ResticError("this server only restores backups", 1)
    since = STATE / "since"
    if not since.exists():
        since.touch()
    with alone():
        damaged = _copies(config)
        good = not damaged
        for target in config.targets:
            good &= save(config, Restic(target, program=program), damaged)
    return good


def _copies(config: Config) -> str | None:
    for database in config.databases:
        source = Path(database)
        if not source.exists():
            continue
        try:
            copy_database(source, config.staged(database))
        except (sqlite3.Error, OSError) as error:
            # The homes are saved all the same.
            return f"no copy of {source.name} could be made ({error})"
    return None


def save(config: Config, restic: Restic, damaged: str | None) -> bool:
    """Back up to one target and record the result.

    ``damaged`` says what is wrong with a database; the snapshot is made all the same, but counts as failed.
    """
    target, began = restic.target, time.time()
    state.note(target.name, tried=began)
    try:
        known = _repository(restic)
        summary = _snapshot(config, restic)
    except (ResticError, OSError, subprocess.SubprocessError) as error:
        print(f"backup to {target.name} failed: {error}", flush=True)
        state.note(target.name, error=str(error))
        return False
    state.note(target.name, id=known, ok=began, error=damaged, seconds=round(time.time() - began, 1), **summary)
    print(
        f"backup to {target.name}: {summary['files']} files, {summary['added']} bytes new, {time.time() - began:.1f} s",
        flush=True,
    )
    return damaged is None and _tend(config, restic)


def _repository(restic: Restic) -> str:
    """The repository's ID. A new target gets a repository; a different repository than last time is refused."""
    before = state.read().get("targets", {}).get(restic.target.name, {}).get("id")
    try:
        found = _id(restic)
    except ResticError as error:
        if error.code != NO_REPOSITORY or before:
            # There was a repository before: a disk is not mounted, or worse. Do not create another one.
            raise
        restic.run("init")
        found = _id(restic)
    if before and before != found:
        raise ResticError(f"{restic.target.name}: the repository there is not the one of the last backup", 1)
    return found


def _id(restic: Restic) -> str:
    return str(json.loads(restic.run("cat", "config").stdout)["id"])


def _snapshot(config: Config, restic: Restic) -> dict[str, Any]:
    there = [source for source in config.sources if Path(source).exists()]
    left_out: list[Path] = []

    def more() -> bool:
        """Look for directories with too much in them, and leave them out. Returns whether there are new ones."""
        known = set(left_out)
        found = [path for path in excess.directories(config.homes, config.sources) if path not in known]
        left_out.extend(path for path in found if excess.is_too_much(path, LARGEST))
        return len(left_out) > len(known)

    more()
    # Somebody may make such files after the look, and restic would read them for hours. What it has saved by then stays
    # saved, so another start costs little.
    while (done := _one_snapshot(config, restic, there, left_out, more)) is None:
        pass
    summary = _last(done.stdout, "summary")
    unread = sum(1 for line in done.stderr.splitlines() if b'"error"' in line)
    return {
        "snapshot": summary.get("snapshot_id"),
        "files": summary.get("total_files_processed", 0),
        "bytes": summary.get("total_bytes_processed", 0),
        "added": summary.get("data_added_packed", summary.get("data_added", 0)),
        "unread": unread,
        "left_out": sorted(path.name for path in left_out),
    }


def _one_snapshot(
    config: Config, restic: Restic, there: list[str], left_out: list[Path], look: Callable[[], bool]
) -> subprocess.CompletedProcess[bytes] | None:
    """Run restic; None if ``look`` returned true meanwhile."""
    limit = ("--limit-upload", str(config.upload_kib)) if config.upload_kib else ()
    # Of a restore that runs or was interrupted.
    shared = config.whole.shared
    unfinished = [str(parent / trees.PLACE) for parent in (config.homes, shared, shared / "groups")]
    patterns = (*config.exclude, *unfinished, *map(str, left_out))
    excludes = [part for pattern in patterns for part in ("--exclude", pattern)]
    return restic.run_watched(
        *limit,
        *("backup", "--json", "--host", HOST, "--tag", config.server, "--exclude-larger-than", str(LARGEST), *excludes),
        *("--", *there, str(config.staging)),
        accept=(INCOMPLETE,),
        look=look,
        every=LOOK_EVERY,
    )


def _last(output: bytes, kind: str) -> dict[str, Any]:
    for line in reversed(output.splitlines()):
        with contextlib.suppress(ValueError):
            found = json.loads(line)
            if isinstance(found, dict) and found.get("message_type") == kind:
                return found
    return {}


def _tend(config: Config, restic: Restic) -> bool:
    """Delete old snapshots, and read back a part of the data, if either is due. Returns whether that went well."""
    target, now = restic.target, time.time()
    known = state.read().get("targets", {}).get(target.name, {})
    try:
        # A recorded time in the future is from a wrong clock: count it as due.
        if not target.append_only and not 0 <= now - known.get("pruned", 0) < PRUNE_EVERY:
            _thin_out(config, target, restic)
        # After a failure this says whether it is over; otherwise that would count for days.
        if known.get("damage") or not 0 <= now - known.get("checked", 0) < CHECK_EVERY:
            part = known.get("part", 0) % PARTS + 1
            restic.run("check", f"--read-data-subset={part}/{PARTS}")
            state.note(target.name, checked=now, part=part, damage=None)
    except ResticError as error:
        print(f"pruning or checking {target.name} failed: {error}", flush=True)
        state.note(target.name, damage=str(error))
        return False
    return True


def _thin_out(config: Config, target: Target, restic: Restic) -> None:
    keep = [part for unit, count in config.keep.items() if count for part in (f"--keep-{unit}", str(count))]
    if keep:
        _set_future_apart(restic)
        # Each server's snapshots on their own: an empty new server must not push out the old one's last days.
        restic.run("forget", "--host", HOST, "--group-by", "host,tags", "--keep-last", "1", *keep, "--prune")
    state.note(target.name, pruned=time.time())


def _set_future_apart(restic: Restic) -> None:
    """Give snapshots from the future a tag, so that they are a group of their own.

    A server whose clock was wrong made them. They would count as the newest, and present ones would be deleted instead.
    """
    now = datetime.datetime.now().astimezone()
    future = [one.snapshot for one in restoring.snapshots(restic) if restoring.is_future(one, now)]
    if future:
        restic.run("tag", "--add", FUTURE, *future)
