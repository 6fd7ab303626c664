"""Makes a file or directory like another one. Only what differs is written, and each file is replaced in one step."""

from __future__ import annotations

import errno
import filecmp
import os
import shutil
import stat
from collections.abc import Collection
from pathlib import Path


def mirror(source: Path, target: Path, kept: Collection[Path] = (), *, share: bool = False) -> bool:
    """Make ``target`` like ``source``: content, owner, mode and time. Without a source, ``target`` is removed.

    The real directories directly in one of ``kept`` (paths of the source or the target) are neither copied nor
    removed. With ``share``, a file for which the disk has no room becomes a hard link to the source. Returns whether
    anything was written. May be interrupted and repeated. Raises OSError.
    """
    if not os.path.lexists(source):
        return _remove(target)
    facts = source.lstat()
    if stat.S_ISLNK(facts.st_mode):
        return _link(source, target)
    if stat.S_ISREG(facts.st_mode):
        return _file(source, target, share=share)
    if stat.S_ISDIR(facts.st_mode):
        return _directory(source, target, kept, share=share)
    # A socket or a pipe belongs to a running program.
    return False


def same(one: Path, other: Path, kept: Collection[Path] = ()) -> bool:
    """Whether two trees have the same files and links, without the real directories directly in one of ``kept``."""
    if one.is_symlink() or other.is_symlink():
        return one.is_symlink() and other.is_symlink() and one.readlink() == other.readlink()
    if not (one.is_dir() and other.is_dir()):
        return one.is_file() and other.is_file() and filecmp.cmp(one, other, shallow=False)
    left_alone = one in kept or other in kept
    here, there = (
        {path.name for path in top.iterdir() if path.is_symlink() or not (left_alone and path.is_dir())}
        for top in (one, other)
    )
    return here == there and all(same(one / name, other / name, kept) for name in here)


def _remove(path: Path) -> bool:
    if not os.path.lexists(path):
        return False
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
    return True


def _fresh(path: Path) -> Path:
    """A name beside ``path``. What an interrupted run left there is removed."""
    fresh = path.with_name(f".{path.name}.coursehub-new")
    _remove(fresh)
    return fresh


def _link(source: Path, target: Path) -> bool:
    if target.is_symlink() and target.readlink() == source.readlink():
        return False
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    fresh = _fresh(target)
    fresh.symlink_to(source.readlink())
    fresh.replace(target)
    return True


def _file(source: Path, target: Path, *, share: bool) -> bool:
    facts = source.lstat()
    if target.is_file() and not target.is_symlink() and filecmp.cmp(source, target, shallow=False):
        return _facts(target, facts)
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    fresh = _fresh(target)
    try:
        # Nobody may read the copy of a secret before it has its own mode.
        os.close(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        shutil.copyfile(source, fresh)
        _facts(fresh, facts)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        if not share or error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        fresh.hardlink_to(source)
    fresh.replace(target)
    return True


def _directory(source: Path, target: Path, kept: Collection[Path], *, share: bool) -> bool:
    if not target.is_dir() or target.is_symlink():
        _remove(target)
        target.mkdir(mode=0o700)
    left_alone = source in kept or target in kept
    written = False
    names = set()
    for path in sorted(source.iterdir()):
        if left_alone and path.is_dir() and not path.is_symlink():
            continue
        names.add(path.name)
        written |= mirror(path, target / path.name, kept, share=share)
    for path in sorted(target.iterdir()):
        if path.name in names or (left_alone and path.is_dir() and not path.is_symlink()):
            continue
        written |= _remove(path)
    return _facts(target, source.lstat()) or written


def _facts(path: Path, wanted: os.stat_result) -> bool:
    """Give a file another one's owner, mode and time; returns whether owner or mode differed."""
    found = path.lstat()
    differs = False
    if (found.st_uid, found.st_gid) != (wanted.st_uid, wanted.st_gid):
        os.chown(path, wanted.st_uid, wanted.st_gid)
        differs = True
    if stat.S_IMODE(found.st_mode) != stat.S_IMODE(wanted.st_mode):
        path.chmod(stat.S_IMODE(wanted.st_mode))
        differs = True
    os.utime(path, ns=(wanted.st_atime_ns, wanted.st_mtime_ns))
    return differs
