"""Compares restored directories with the backup that they come from, by the SHA-256 of each file.

It reads the backup a second time, in another way than the restore did: as a tar stream of ``restic dump``.
"""

from __future__ import annotations

import datetime
import hashlib
import os
import stat
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from coursehub_backup import everything, report, state, trees
from coursehub_backup.config import Config
from coursehub_backup.restic import Restic
from coursehub_backup.restoring import RestoreError, Version

#: Results of a restore after which a directory is in its place.
_IN_PLACE = ("restored", "partly")
#: The largest file, in bytes, that a student's kernel is asked to read.
_READABLE = 20 << 20
_PIECE = 1 << 20
#: Seconds by which a time in a tar stream may differ.
_ROUNDED = 0.51


@dataclass
class Found:
    """What was compared in one directory."""

    name: str
    keep: trees.Keep
    files: int = 0
    bytes: int = 0
    missing: int = 0
    different: int = 0
    """Another content, kind, owner, mode, time or link."""
    left_out: int = 0
    """Files of others, which a restore leaves out."""
    seen: set[str] = field(default_factory=set)
    sample: tuple[int, str, str] = (0, "", "")
    """Size, path and SHA-256 of the largest file that a kernel can read."""


def compare(config: Config, program: str = "/usr/bin/restic") -> dict[str, Any]:
    """Compare all directories that the last restore of this server put in place. Raises RestoreError, ResticError.

    The result has counts, the directories that differ, and one file's path and hash for each home.
    """
    record = state.read(report.RECORD)
    target = next((one for one in config.targets if one.name == record.get("target")), None)
    if target is None or not record.get("ended"):
        raise RestoreError("nothing was restored on this server that could be compared")
    restic = Restic(target, program=program, gentle=False)
    placed = {one["name"] for one in record["parts"] if one["result"] in _IN_PLACE}
    found = {
        str(path): Found(name, keep)
        for name, path, keep in everything.directories(config, restic, _version(record))
        if name in placed
    }
    parents = {Path(path).parent for path in found}
    # What is below another one is in its stream.
    for parent in sorted(str(one) for one in parents if not parents & set(one.parents)):
        for member, content in _members(restic, record["snapshot"], parent):
            _look(found, f"/{member.name}", member, content)
    extra = {path: _extra(path, one) for path, one in found.items()}
    return {
        "directories": len(found),
        "files": sum(one.files for one in found.values()),
        "bytes": sum(one.bytes for one in found.values()),
        "left_out": sum(one.left_out for one in found.values()),
        "differ": [
            {"name": one.name, "missing": one.missing, "different": one.different, "extra": extra[path]}
            for path, one in found.items()
            if one.missing or one.different or extra[path]
        ],
        "samples": {
            Path(path).name: {"path": one.sample[1], "sha256": one.sample[2]}
            for path, one in found.items()
            if one.sample[0] and Path(path).parent == config.homes
        },
    }


def _version(record: dict[str, Any]) -> Version:
    moment = datetime.datetime.fromisoformat(record["at"])
    return Version(record["snapshot"], moment, server=record["server"], target=record["target"])


def _members(restic: Restic, snapshot: str, path: str) -> Iterator[tuple[tarfile.TarInfo, IO[bytes] | None]]:
    """Each file and directory below a directory of the snapshot, with the content of a file."""
    argv = restic.argv("dump", "--archive", "tar", snapshot, path)
    broken = None
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen(
            argv, env=restic.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said
        ) as dumping,
    ):
        try:
            with tarfile.open(fileobj=dumping.stdout, mode="r|", errors="surrogateescape") as archive:
                for member in archive:
                    yield member, archive.extractfile(member) if member.isfile() else None
                    # tarfile would keep all members in memory.
                    archive.members = []  # type: ignore[attr-defined]
        except tarfile.TarError as error:
            broken = error
        code = dumping.wait()
        said.seek(0)
        if code:
            raise restic.error(subprocess.CompletedProcess(argv, code, b"", said.read()))
    if broken:
        raise RestoreError(f"{restic.target.name}: what was read from the backup is damaged: {broken}")


def _look(found: dict[str, Found], path: str, member: tarfile.TarInfo, content: IO[bytes] | None) -> None:
    one = next((found[str(above)] for above in (Path(path), *Path(path).parents) if str(above) in found), None)
    if one is None:
        return
    one.seen.add(path)
    owner = one.keep.owner(_stat(member))
    try:
        here = os.lstat(path)
    except OSError:
        if owner is None:
            one.left_out += 1
        else:
            one.missing += 1
        return
    one.files += 1
    if content is None:
        one.different += not _alike(path, member, here, one.keep)
        return
    then, size = _digest(content)
    one.bytes += size
    now, _ = _digest_here(path, here)
    one.different += now != then or not _alike(path, member, here, one.keep)
    if one.sample[0] < size <= _READABLE and owner == here.st_uid and here.st_mode & stat.S_IRUSR:
        one.sample = (size, path, then)


def _stat(member: tarfile.TarInfo) -> os.stat_result:
    return os.stat_result((member.mode, 0, 0, 1, member.uid, member.gid, member.size, 0, int(member.mtime), 0))


def _alike(path: str, member: tarfile.TarInfo, here: os.stat_result, keep: trees.Keep) -> bool:
    """Whether kind, owner, group, mode, time and link are as they were."""
    kinds = {tarfile.DIRTYPE: stat.S_ISDIR, tarfile.SYMTYPE: stat.S_ISLNK}
    if not kinds.get(member.type, stat.S_ISREG)(here.st_mode):
        return False
    then = _stat(member)
    owner = keep.owner(then)
    if (here.st_uid, here.st_gid) != (here.st_uid if owner is None else owner, keep.group(then)):
        return False
    if stat.S_ISLNK(here.st_mode):
        return os.readlink(path) == member.linkname  # noqa: PTH115  # a Path would change it
    # A file of somebody who left has lost the bits that would give it root's rights.
    ignored = 0 if owner else stat.S_ISUID | stat.S_ISGID
    modes_differ = (stat.S_IMODE(here.st_mode) ^ member.mode) & ~ignored
    # restic rounds the times in a tar stream to seconds.
    return not modes_differ and abs(here.st_mtime - member.mtime) < _ROUNDED


def _digest(content: IO[bytes]) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    while piece := content.read(_PIECE):
        digest.update(piece)
        size += len(piece)
    return digest.hexdigest(), size


def _digest_here(path: str, here: os.stat_result) -> tuple[str, int]:
    """The same for a file on the disk. Anything but a file has no content."""
    if not stat.S_ISREG(here.st_mode):
        return "", 0
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
        return _digest(file)


def _extra(path: str, one: Found) -> int:
    """The number of files that the backup does not have. A tar stream has no pipes."""
    extra, waiting = 0, [path]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                mode = entry.stat(follow_symlinks=False).st_mode
                extra += entry.path not in one.seen and not stat.S_ISFIFO(mode)
                if stat.S_ISDIR(mode):
                    waiting.append(entry.path)
    return extra
