"""Makes a file or directory like another one. Only what differs is written, and each file is replaced in one step."""

from __future__ import annotations

import filecmp
import os
import shutil
import stat
from collections.abc import Collection
from pathlib import Path


def mirror(source: Path, target: Path, kept: Collection[Path] = ()) -> bool:
    """Make ``target`` like ``source``: content, owner, mode and time. Without a source, ``target`` is removed.

    The real directories directly in one of ``kept`` (paths of the source or the target) are neither copied nor
    removed. Returns whether anything was written. May be interrupted and repeated.
    """
    if not os.path.lexists(source):
        return _remove(target)
    facts = source.lstat()
    if stat.S_ISLNK(facts.st_mode):
        return _link(source, target)
    if stat.S_ISREG(facts.st_mode):
        return _file(source, target)
    if stat.S_ISDIR(facts.st_mode):
        return _directory(source, target, kept)
    # A socket or a pipe belongs to a running program.
    return False


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


def _file(source: Path, target: Path) -> bool:
    facts = source.lstat()
    if target.is_file() and not target.is_symlink() and filecmp.cmp(source, target, shallow=False):
        return _facts(target, facts)
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    fresh = _fresh(target)
    # Nobody may read the copy of a secret before it has its own mode.
    os.close(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    shutil.copyfile(source, fresh)
    _facts(fresh, facts)
    fresh.replace(target)
    return True


def _directory(source: Path, target: Path, kept: Collection[Path]) -> bool:
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
        written |= mirror(path, target / path.name, kept)
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
