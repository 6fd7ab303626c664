"""Puts one directory of a backup in the place of one that nobody has used yet.

The directory is unpacked beside its place, where only root can enter, and changes places with the present one in one
step. So nobody sees a part of it, and nobody can change a path while root works below it.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import stat
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from coursehub_backup.numbers import ACLS, Translation

#: The directory for unpacking, in the directory of homes and in that of the class, so on the same file system.
PLACE = ".restoring"
#: In it, the directories that change places with present ones.
_SWAPPED = ".swapped"
#: What a new home has.
SKELETON = Path("/etc/skel")
#: Names the snapshot that a directory comes from. Only root can read and set it.
MARK = "trusted.coursehub-restored"
#: The inode number of a btrfs subvolume's own directory.
_SUBVOLUME = 256
_AT_FDCWD, _EXCHANGE = -100, 2
_LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Keep:
    """Which files of a directory are restored, and to whom they belong here."""

    owner: Callable[[os.stat_result], int | None]
    """The owner's number here; None leaves the file out."""
    group: Callable[[os.stat_result], int]
    numbers: Translation
    """For access lists."""


@contextlib.contextmanager
def place(parent: Path) -> Iterator[Path]:
    """A directory below ``parent`` for unpacking, which only root can enter. It is empty, and removed at the end.

    Raises OSError at the end if an interrupted restore left a directory there that somebody used. That one stays.
    """
    made = parent / PLACE
    for path in (made, made / _SWAPPED):
        path.mkdir(mode=0o700, exist_ok=True)
    try:
        _clear(made)
        yield made
    finally:
        left = _clear(made)
        if left:
            raise OSError(0, f"an interrupted restore left {left[0]}, which was in use; move it to its owner's home")
        (made / _SWAPPED).rmdir()
        made.rmdir()


def _clear(made: Path) -> list[Path]:
    """Remove all that nobody used; returns the rest."""
    used = []
    for one in (made / _SWAPPED).iterdir():
        # Without the mark it is the directory that was in use. A marked one never left this place.
        if _mark(one) is None and not is_unused(one):
            used.append(one)
        else:
            remove(one)
    for one in made.iterdir():
        if one.name != _SWAPPED:
            remove(one)
    return used


def make_like(path: Path, present: Path) -> None:
    """Make an empty directory; a subvolume if ``present``, or the directory that it is in, is one. Raises OSError."""
    if is_subvolume(present) or (not present.exists() and _is_btrfs(path.parent)):
        _run("btrfs", "--quiet", "subvolume", "create", str(path))
    else:
        path.mkdir(mode=0o700)
    path.chmod(0o700)


def is_subvolume(path: Path) -> bool:
    """Whether this is a subvolume's own directory."""
    with contextlib.suppress(FileNotFoundError):
        return path.lstat().st_ino == _SUBVOLUME and path.is_dir() and not path.is_symlink()
    return False


def _is_btrfs(path: Path) -> bool:
    done = subprocess.run(["stat", "--file-system", "--format=%T", str(path)], capture_output=True, check=False)
    return done.stdout.strip() == b"btrfs"


def remove(path: Path) -> None:
    """Remove a directory with all that is in it, or a file. Raises OSError."""
    if is_subvolume(path):
        _run("btrfs", "--quiet", "subvolume", "delete", str(path))
    else:
        # Not shutil.rmtree: a student's directories may be nested deeper than Python's recursion limit.
        _run("rm", "-rf", "--one-file-system", "--", str(path))


def settle(root: Path, keep: Keep) -> int:
    """Give each file its owner here, and remove those that are left out. Returns how many were removed.

    Only for a directory that nobody but root can enter. Modes and times stay. Raises OSError if all is left out.
    """
    if keep.owner(root.lstat()) is None:
        raise OSError(0, "in the backup it belongs to somebody else")
    removed = 0
    # Files with several names: an owner's number may have belonged to another person on the old server.
    seen: set[int] = set()
    waiting: list[Path] = [root]
    while waiting:
        path = waiting.pop()
        found = path.lstat()
        if stat.S_ISDIR(found.st_mode):
            children = list(path.iterdir())
            gone = {child for child in children if not _is_kept(child, keep, seen)}
            for child in gone:
                remove(child)
            removed += len(gone)
            waiting += [child for child in children if child not in gone]
        elif found.st_ino in seen:
            continue
        seen.add(found.st_ino)
        _give(path, found, keep)
        if stat.S_ISDIR(found.st_mode):
            os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    return removed


def _is_kept(path: Path, keep: Keep, seen: set[int]) -> bool:
    found = path.lstat()
    ordinary = any(kind(found.st_mode) for kind in (stat.S_ISREG, stat.S_ISDIR, stat.S_ISLNK, stat.S_ISFIFO))
    return ordinary and (found.st_ino in seen or keep.owner(found) is not None)


def _give(path: Path, found: os.stat_result, keep: Keep) -> None:
    uid, gid = keep.owner(found), keep.group(found)
    os.chown(path, found.st_uid if uid is None else uid, gid, follow_symlinks=False)
    if stat.S_ISLNK(found.st_mode):
        return
    for name in ACLS:
        with contextlib.suppress(OSError):
            old = os.getxattr(path, name, follow_symlinks=False)
            new = keep.numbers.acl(old)
            if new != old:
                os.setxattr(path, name, new, follow_symlinks=False)
    mode = stat.S_IMODE(found.st_mode)
    if stat.S_ISREG(found.st_mode) and ((uid == 0 != found.st_uid) or (gid == 0 != found.st_gid)):
        # Root stands for somebody who left. The file must not run with root's rights.
        mode &= ~(stat.S_ISUID | stat.S_ISGID)
    # A change of the owner takes these bits away.
    path.chmod(mode)


def swap(new: Path, present: Path, snapshot: str) -> bool:
    """Put ``new`` in the place of ``present``, in one step. Returns whether that was done.

    Not done if ``present`` has been used. Raises OSError.
    """
    os.setxattr(new, MARK, snapshot.encode())
    # A power failure must not leave the new directory in its place without its files.
    _run("sync", "--file-system", str(new))
    if not present.exists():
        new.rename(present)
        return True
    ready = new.parent / _SWAPPED / new.name
    new.rename(ready)
    with _unmounted(present):
        _exchange(ready, present)
        if not is_unused(ready):
            _exchange(ready, present)
            return False
    remove(ready)
    return True


@contextlib.contextmanager
def _unmounted(path: Path) -> Iterator[None]:
    """Unmount what is mounted on a directory during the block, because such a directory cannot change its place."""
    mounted = any(line.split()[4] == str(path) for line in Path("/proc/self/mountinfo").read_text().splitlines())
    if not mounted:
        yield
        return
    unit = subprocess.run(
        ["systemd-escape", "--path", "--suffix=mount", str(path)], capture_output=True, text=True, check=True
    ).stdout.strip()
    _run("umount", str(path))
    try:
        yield
    finally:
        _run("systemctl", "start", unit)


def is_unused(path: Path) -> bool:
    """Whether a home or a directory of the class is as it was made: empty, or with the skeleton's files."""
    return not any(path.iterdir()) or is_like(path, SKELETON)


def _exchange(one: Path, other: Path) -> None:
    if _LIBC.renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _EXCHANGE):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(other))


def comes_from(path: Path, snapshot: str) -> bool:
    """Whether a directory was put in its place from this snapshot before."""
    return _mark(path) == snapshot.encode()


def _mark(path: Path) -> bytes | None:
    try:
        return os.getxattr(path, MARK, follow_symlinks=False)
    except OSError as error:
        if error.errno in (errno.ENODATA, errno.ENOENT, errno.EOPNOTSUPP):
            return None
        raise


def is_like(path: Path, skeleton: Path) -> bool:
    """Whether a directory has nothing but equal copies of the files in ``skeleton``. Follows no link in ``path``."""
    with os.scandir(path) as here, os.scandir(skeleton) as there:
        found, wanted = {one.name: one for one in here}, {one.name: one for one in there}
    return found.keys() == wanted.keys() and all(_is_same(found[name], wanted[name]) for name in wanted)


def _is_same(one: os.DirEntry[str], other: os.DirEntry[str]) -> bool:
    if other.is_dir(follow_symlinks=False):
        return one.is_dir(follow_symlinks=False) and is_like(Path(one.path), Path(other.path))
    if other.is_symlink():
        return one.is_symlink() and Path(one.path).readlink() == Path(other.path).readlink()
    return one.is_file(follow_symlinks=False) and _has_content(one.path, Path(other.path).read_bytes())


def _has_content(path: str, content: bytes) -> bool:
    """Whether a regular file has this content. Its owner may put a link or a pipe in its place meanwhile."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    with os.fdopen(handle, "rb") as file:
        return stat.S_ISREG(os.fstat(handle).st_mode) and file.read(len(content) + 1) == content


def _run(*argv: str) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or [f"{argv[0]} failed"])[-1]
        raise OSError(0, said)
