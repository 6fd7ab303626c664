"""Restores one person's files: first into a directory of root, then into the home with that person's rights.

Root never writes into a home: the owner could replace a directory with a symbolic link while root works.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import pwd
import re
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coursehub_backup import bounded, damage
from coursehub_backup.config import STATE, Config
from coursehub_backup.restic import HOST, Restic

#: Characters with a special meaning in restic's patterns.
_SPECIAL = re.compile(r"([\\*?\[\]])")


class RestoreError(Exception):
    """The restore is not possible. The text is one line for a teacher."""


@dataclass(frozen=True)
class Version:
    """One snapshot. ``size`` is all that is in it; in a listing, size and change time are those of the path."""

    snapshot: str
    at: datetime.datetime
    size: int | None = None
    mtime: str = ""
    server: str = ""
    """The machine-id of the server that made it."""
    target: str = ""

    @property
    def options(self) -> str:
        """The options with which a teacher chooses this one."""
        # Times of snapshots have fractions of a second.
        after = self.at + datetime.timedelta(seconds=1)
        return f"--at '{after:%Y-%m-%d %H:%M:%S}'" + (f" --target {self.target}" if self.target else "")


def newest_first(versions: list[Version]) -> list[Version]:
    """Sort snapshots. Those from the future are last: a server whose clock was wrong made them."""
    now = datetime.datetime.now().astimezone()
    return sorted(versions, key=lambda one: (not is_future(one, now), one.at), reverse=True)


def is_future(version: Version, now: datetime.datetime) -> bool:
    """Whether a snapshot's time cannot be true; two computers' clocks may differ a little."""
    return version.at > now + datetime.timedelta(hours=1)


def snapshots(restic: Restic) -> list[Version]:
    """All snapshots, the newest first; see ``newest_first``."""
    found = json.loads(restic.run("snapshots", "--json", "--host", HOST).stdout) or []
    made = [
        Version(
            one["id"],
            _time(one["time"]),
            (one.get("summary") or {}).get("total_bytes_processed"),
            server=(one.get("tags") or [""])[0],
            target=restic.target.name,
        )
        for one in found
    ]
    return newest_first(made)


def _time(text: str) -> datetime.datetime:
    # restic writes nanoseconds; Python 3.11 accepts six digits at most.
    return datetime.datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text)).astimezone()


def at(versions: list[Version], when: str | None) -> Version:
    """The newest snapshot made at or before ``when``: ``2026-11-30``, ``2026-11-30 14:00``, ``yesterday``.

    A day without a time means the end of that day. Raises RestoreError.
    """
    if not versions:
        raise RestoreError("there is no backup yet")
    if when is None:
        return versions[0]
    moment = moment_of(when, datetime.datetime.now().astimezone())
    for version in versions:
        if version.at <= moment:
            return version
    oldest = min(version.at for version in versions)
    raise RestoreError(f"the oldest backup is from {oldest:%Y-%m-%d %H:%M}; choose a later time")


def moment_of(when: str, now: datetime.datetime) -> datetime.datetime:
    """``when`` as a time in the server's time zone. Raises RestoreError."""
    words = {"now": now, "yesterday": now.replace(hour=23, minute=59, second=59) - datetime.timedelta(days=1)}
    if when in words:
        return words[when]
    try:
        moment = datetime.datetime.fromisoformat(when)
    except ValueError:
        raise RestoreError(f"{when!r} is not a time; write 2026-11-30, '2026-11-30 14:00' or yesterday") from None
    if re.fullmatch(r"\d{4}-?\d\d-?\d\d", when):
        moment = moment.replace(hour=23, minute=59, second=59)
    return moment.replace(tzinfo=now.tzinfo) if moment.tzinfo is None else moment


def listing(restic: Restic, path: Path) -> list[Version]:
    """The different versions of a file or directory, newest first, each with the time of its first backup."""
    done = restic.run("find", "--json", "--host", HOST, "--", literal(str(path)))
    times = {one.snapshot: one.at for one in snapshots(restic)}
    found: dict[tuple[int | None, str], Version] = {}
    for hit in json.loads(done.stdout or b"[]"):
        for match in hit.get("matches", ()):
            if hit["snapshot"] not in times:
                continue
            version = Version(hit["snapshot"], times[hit["snapshot"]], match.get("size"), match["mtime"])
            key = (version.size, version.mtime)
            if key not in found or version.at < found[key].at:
                found[key] = version
    return sorted(found.values(), key=lambda one: one.at, reverse=True)


def literal(name: str) -> str:
    """A restic pattern that matches only this name."""
    return _SPECIAL.sub(r"\\\1", name)


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A temporary directory that only root can enter."""
    root = STATE / "scratch"
    root.mkdir(mode=0o700, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=root))
    try:
        yield made
    finally:
        # Not shutil.rmtree: a student's directories may be nested deeper than Python's recursion limit.
        subprocess.run(["rm", "-rf", "--one-file-system", "--", str(made)], check=False)


def fetch(restic: Restic, snapshot: str, path: Path, into: Path) -> Path:
    """Restore ``path`` of a snapshot into ``into``, under its own name. Raises RestoreError if it is not there."""
    pattern = "/" + literal(path.name)
    restic.run("restore", "--sparse", "--target", str(into), "--include", pattern, f"{snapshot}:{path.parent}")
    got = into / path.name
    if not os.path.lexists(got):
        raise RestoreError(f"{path} is not in that backup; --list shows the versions that there are")
    return got


def fetch_what_is_there(restic: Restic, snapshot: str, path: Path, into: Path) -> int:
    """The same, but files that cannot be read from the repository are left out. Returns how many these are.

    Only for an ``into`` that nobody but root can enter. Raises RestoreError if the disk is full, ResticError if nothing
    could be read.
    """
    arguments = ("--sparse", "--target", str(into), "--include", f"/{literal(path.name)}", f"{snapshot}:{path.parent}")
    done = restic.run("restore", "--json", *arguments, accept=(1,))
    if done.returncode:
        # The target may have failed only for a moment.
        done = restic.run("restore", "--json", *arguments, accept=(1,))
    if not done.returncode:
        return 0
    errors = list(damage.errors(done.stderr))
    if any(words in error.message for error in errors for words in ("no space left", "quota exceeded")):
        raise RestoreError("the disk is full, or the owner's limit is reached")
    for error in errors:
        damage.remove(error, into)
    if not errors or not any(file.is_file() for file in (into / path.name).rglob("*")):
        raise restic.error(done)
    return len(errors)


def uid_then(restic: Restic, snapshot: str, account: str) -> int:
    """The account's user ID when the snapshot was made; another server may have given it a different one."""
    text = restic.run("dump", snapshot, "/etc/passwd").stdout.decode(errors="replace")
    for line in text.splitlines():
        fields = line.split(":")
        if fields[0] == account and len(fields) > 3:
            return int(fields[2])
    raise RestoreError(f"{account} had no account when that backup was made")


def weed(root: Path, uid: int) -> int:
    """Remove files of other owners, and special files except pipes. Returns how many were removed.

    A student who replaces a directory with a link while a backup reads it gets another person's files into their own
    part of the backup. But the backup also has each file's true owner.
    """
    removed = 0
    waiting = [root]
    while waiting:
        path = waiting.pop()
        found = path.lstat()
        if found.st_uid != uid or not _ordinary(found.st_mode):
            subprocess.run(["rm", "-rf", "--", str(path)], check=True)
            removed += 1
        elif stat.S_ISDIR(found.st_mode):
            waiting += path.iterdir()
    return removed


def _ordinary(mode: int) -> bool:
    return any(kind(mode) for kind in (stat.S_ISREG, stat.S_ISDIR, stat.S_ISLNK, stat.S_ISFIFO))


def beside(name: str, taken_at: datetime.datetime) -> str:
    """The name for a restored file next to the current one: ``lab (2026-11-30 14.00.00).ipynb``."""
    path = Path(name)
    return f"{path.stem} ({taken_at:%Y-%m-%d %H.%M.%S}){path.suffix}"


#: tar's options for what is there already.
REFUSE, REPLACE, SKIP = "--keep-old-files", "--unlink-first", "--skip-old-files"


def hand_over(source: Path, account: str, into: Path, present: str = REFUSE) -> None:
    """Copy ``source`` into the directory ``into`` with only the rights of ``account``.

    ``present`` is one of tar's options for what is there already. Raises RestoreError with tar's last line if that
    fails, for example because the home is full.
    """
    pack = ["tar", "--create", "--sparse", "--format=posix", "--xattrs", "--xattrs-include=user.*"]
    unpack = [
        "tar",
        "--extract",
        "--preserve-permissions",
        "--xattrs",
        "--xattrs-include=user.*",
        "--delay-directory-restore",
    ]
    unpack += [present]
    # The person's rights also apply to creating the parent directories and entering the directory.
    script = 'mkdir -p -- "$1" && cd -- "$1" && shift && exec "$@"'
    argv = ["/bin/sh", "-c", script, "sh", str(into), *unpack]
    limit = bounded.seconds_for(source)
    with subprocess.Popen(
        [*pack, "--directory", str(source.parent), "--", source.name], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as packing:
        try:
            code, said = bounded.run(account, argv, stdin=packing.stdout, seconds=limit)
        except bounded.Ended as error:
            raise RestoreError(f"writing into {account}'s home failed: {error}") from None
        finally:
            if packing.stdout:
                packing.stdout.close()
            packed = packing.wait()
    if code or packed:
        last = (said.strip().splitlines() or [f"tar ended with {packed}"])[-1]
        raise RestoreError(f"writing into {account}'s home failed: {last[:200]}")


def hand_over_as(source: Path, account: str, into: Path, name: str) -> None:
    """Copy a directory into the home ``into``. It gets ``name`` only when it is complete; a part of it is removed.

    Raises RestoreError.
    """
    part = into / f"{name} (unfinished)"
    limit = bounded.seconds_for(source)
    _remove(account, part, limit)
    got = source.rename(source.with_name(part.name))
    try:
        hand_over(got, account, into)
        argv = ["/bin/sh", "-c", 'exec mv -T -- "$1" "$2"', "sh", str(part), str(into / name)]
        try:
            code, said = bounded.run(account, argv, stdin=subprocess.DEVNULL)
        except bounded.Ended as error:
            code, said = 1, str(error)
        if code:
            raise RestoreError(f"writing into {account}'s home failed: {said.strip()[:200]}")
    except RestoreError:
        # A full home would stay full.
        with contextlib.suppress(RestoreError):
            _remove(account, part, limit)
        raise
    finally:
        got.rename(source)


def _remove(account: str, path: Path, seconds: float) -> None:
    """Remove a directory with its owner's rights. Raises RestoreError if the owner prevents it."""
    script = 'test -d "$1" && chmod -R u+rwX -- "$1"; rm -rf --one-file-system -- "$1"'
    argv = ["/bin/sh", "-c", script, "sh", str(path)]
    try:
        code, said = bounded.run(account, argv, stdin=subprocess.DEVNULL, seconds=seconds)
    except bounded.Ended as error:
        code, said = 1, str(error)
    if code:
        raise RestoreError(f"removing {path.name!r} in {account}'s home failed: {said.strip()[:200]}")


def inside_home(config: Config, account: str, path: str) -> Path:
    """The absolute path of ``path`` in a home.

    Raises RestoreError if there is no such account, or for a path that leads out of the home.
    """
    try:
        pwd.getpwnam(account)
    except KeyError:
        raise RestoreError(f"{account} has no account on this server") from None
    home = config.homes / account
    whole = Path(os.path.normpath(home / path.removeprefix("~/")))
    if not whole.is_relative_to(home):
        raise RestoreError(f"{path} is not in the home of {account}; write a path below it, such as labs/lab1.ipynb")
    return whole


def restore(
    config: Config, restic: Restic, version: Version, *, account: str, path: str, in_place: bool
) -> dict[str, Any]:
    """Restore one path of one person, next to the current version or in its place. The path ``.`` is the whole home."""
    whole = inside_home(config, account, path)
    with scratch() as place:
        got = fetch(restic, version.snapshot, whole, place)
        left_out = weed(got, uid_then(restic, version.snapshot, account))
        if not os.path.lexists(got):
            raise RestoreError(f"{path} did not belong to {account}, so it was not restored")
        to = _destination(config.homes / account, whole, version, in_place=in_place)
        if to.name != got.name:
            got = got.rename(place / to.name)
        hand_over(got, account, to.parent, REPLACE if in_place else REFUSE)
    return {"account": account, "to": str(to), "at": version.at.isoformat(), "left_out": left_out}


def _destination(home: Path, whole: Path, version: Version, *, in_place: bool) -> Path:
    if in_place:
        return whole
    if whole == home:
        return home / f"restored {version.at:%Y-%m-%d %H.%M.%S}"
    return whole.with_name(beside(whole.name, version.at))
