"""Makes a zip of each student's own files from the archive's tar stream, and reads the zips back.

The stream has what students wrote: names of any bytes, links, files of any size. Nothing of it is unpacked on this
computer.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import tarfile
import tempfile
import time
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from runner.archive import names
from runner.errors import CoursehubError

#: Files and folders in one zip. The archive has everything.
MOST_FILES = 100_000
#: Bytes of holes in one file: they take no space on the server, but a zip has to be written through all of them.
MOST_HOLES = 1 << 30
#: Bytes of copies for files with several names: a file can have 65,000 names and take the space of one.
MOST_COPIES = 1 << 30
#: Names in the note on what is not in a zip.
LISTED = 1000
NOTE = "NOT IN THIS ZIP.txt"
_PIECE = 1 << 20
_OLDEST, _NEWEST = (1980, 1, 1, 0, 0, 0), (2107, 12, 31, 23, 59, 58)


@dataclass
class Made:
    """One person's zip, closed."""

    account: str
    file: str
    files: int = 0
    bytes: int = 0
    left_out: int = 0
    """Links, special files, and files that are too large or too many; ``NOT IN THIS ZIP.txt`` names them."""
    of_others: int = 0
    """Files of other owners. Not even their names are in the zip."""
    digest: str = ""
    """The hash of all names and contents, in their order."""
    name: str = ""
    """The person's name. Archives of older versions have it in the file's name only."""
    email: str = ""


@dataclass
class _Growing:
    """A zip in the making."""

    made: Made
    hash: Any = field(default_factory=hashlib.sha256)
    taken: names.Taken = field(default_factory=names.Taken)
    paths: dict[str, str] = field(default_factory=dict)
    """Paths in the zip by those in the archive, for files with several names."""
    entries: int = 0
    """Files and folders in it."""
    copied: int = 0
    notes: list[str] = field(default_factory=list)

    def leave_out(self, path: str, why: str) -> None:
        self.made.left_out += 1
        if len(self.notes) < LISTED:
            self.notes.append(f"{names.safe(path) or 'a very long path'}: {why}")


class Zips:
    """A zip for each home, in one directory. A file gets into the zip of its owner, and into no other.

    In the archive, homes must come before what the teams share.
    """

    def __init__(
        self, directory: Path, people: Mapping[str, str], without: Collection[str], homes: str, teams: str
    ) -> None:
        """``people`` has names by account, ``without`` accounts that get no zip.

        ``homes`` and ``teams`` are directories on the server.
        """
        self._directory = directory
        self._people, self._without = people, without
        self._homes, self._teams = PurePosixPath(homes.lstrip("/")), PurePosixPath(teams.lstrip("/"))
        self._growing: dict[str, _Growing] = {}
        self._open: tuple[str, zipfile.ZipFile] | None = None
        # Files in a home that belong to another person. If it is another name of a file in that person's home, the
        # stream has the content only here.
        self._aside = tempfile.TemporaryFile(dir=directory)  # noqa: SIM115  # close() and abandon() close it
        self._places: dict[str, tuple[int, int]] = {}

    def add(self, tar: tarfile.TarFile, entry: tarfile.TarInfo) -> None:
        """Put an entry of the stream into its owner's zip. Raises OSError, tarfile.TarError."""
        path = PurePosixPath(entry.name)
        if path.is_relative_to(self._homes) and path != self._homes:
            account, *below = path.relative_to(self._homes).parts
            if account in self._without or not (below or entry.isdir()):
                return
        elif path.is_relative_to(self._teams) and path != self._teams:
            account, below = entry.uname, ["groups", *path.relative_to(self._teams).parts]
            if account not in self._growing:
                return
        else:
            return
        growing = self._of(account)
        if below and entry.uname != account:
            growing.made.of_others += 1
            self._put_aside(tar, entry)
        elif below:
            self._put(growing, tar, entry, "/".join(below))

    def close(self) -> list[Made]:
        """Finish all zips."""
        for growing in self._growing.values():
            if growing.notes:
                text = "These are on the server and in the teacher's archive of the term:\n\n"
                more = growing.made.left_out - len(growing.notes)
                lines = [*growing.notes, *([f"and {more} more"] if more else [])]
                info = zipfile.ZipInfo(growing.taken.take(NOTE), time.localtime()[:6])
                content = (text + "\n".join(lines) + "\n").encode()
                with self._zip(growing).open(info, "w") as written:
                    written.write(content)
                _count(growing.hash, info.filename, hashlib.sha256(content).digest())
            growing.made.digest = growing.hash.hexdigest()
        self._close_open()
        return [growing.made for growing in self._growing.values()]

    def abandon(self) -> None:
        """Close what is open, after a failure."""
        with contextlib.suppress(OSError, ValueError):
            self._close_open()
        self._aside.close()

    def _of(self, account: str) -> _Growing:
        if account not in self._growing:
            file = names.of_person(account, self._people.get(account))
            self._growing[account] = _Growing(Made(account, file))
            self._zip(self._growing[account])
        return self._growing[account]

    def _zip(self, growing: _Growing) -> zipfile.ZipFile:
        """The person's open zip. Only one is open: they come one after another in the archive."""
        account = growing.made.account
        if self._open is None or self._open[0] != account:
            self._close_open()
            path = self._directory / growing.made.file
            self._open = (account, zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED))
        return self._open[1]

    def _close_open(self) -> None:
        if self._open:
            _, old = self._open
            self._open = None
            old.close()

    def _put_aside(self, tar: tarfile.TarFile, entry: tarfile.TarInfo) -> None:
        begin = self._aside.seek(0, 2)
        if entry.isreg() and begin + entry.size <= MOST_COPIES and (content := tar.extractfile(entry)):
            shutil.copyfileobj(content, self._aside, _PIECE)
            self._places[entry.name] = begin, entry.size

    def _put(self, growing: _Growing, tar: tarfile.TarFile, entry: tarfile.TarInfo, below: str) -> None:
        path, why = names.safe(below), self._why_not(growing, entry)
        if why or path is None:
            growing.leave_out(below, why or "its path is too long")
        elif entry.isdir():
            self._zip(growing).writestr(_info(f"{path}/", entry), b"")
            _count(growing.hash, f"{path}/", hashlib.sha256().digest())
        else:
            with self._content(growing, tar, entry) as content:
                self._write(growing, entry, growing.taken.take(path), content)
        if not why:
            growing.entries += 1
            growing.made.files += not entry.isdir()

    @contextlib.contextmanager
    def _content(self, growing: _Growing, tar: tarfile.TarFile, entry: tarfile.TarInfo) -> Iterator[IO[bytes]]:
        if not entry.islnk():
            content = tar.extractfile(entry)
            if content is None:
                raise tarfile.TarError(f"{entry.name} has no content")
            yield content
            return
        # A zip cannot be read while it is written to.
        with tempfile.TemporaryFile(dir=self._directory) as copy:
            if entry.linkname in growing.paths:
                with self._zip(growing).open(growing.paths[entry.linkname]) as first:
                    shutil.copyfileobj(first, copy, _PIECE)
            else:
                begin, size = self._places[entry.linkname]
                self._aside.seek(begin)
                copy.write(self._aside.read(size))
            growing.copied += copy.tell()
            copy.seek(0)
            yield copy

    def _write(self, growing: _Growing, entry: tarfile.TarInfo, path: str, content: IO[bytes]) -> None:
        hash_, info = hashlib.sha256(), _info(path, entry)
        with self._zip(growing).open(info, "w", force_zip64=entry.size > _PIECE << 10 or entry.islnk()) as written:
            while piece := content.read(_PIECE):
                hash_.update(piece)
                growing.made.bytes += len(piece)
                written.write(piece)
        _count(growing.hash, path, hash_.digest())
        growing.paths[entry.name] = path

    def _why_not(self, growing: _Growing, entry: tarfile.TarInfo) -> str | None:
        """Why an entry is not in its owner's zip."""
        if growing.entries >= MOST_FILES:
            return "there are too many files"
        if entry.issym():
            return "a link"
        if entry.islnk():
            if entry.linkname not in growing.paths and entry.linkname not in self._places:
                return "another name of a file that is not here"
            return "another name of a file that is here" if growing.copied > MOST_COPIES else None
        if not entry.isreg() and not entry.isdir():
            return "no ordinary file"
        parts = cast("list[tuple[int, int]] | None", entry.sparse)
        held = entry.size if parts is None else sum(size for _, size in parts)
        return "almost all of it is empty" if entry.size - held > MOST_HOLES else None


def _info(path: str, entry: tarfile.TarInfo) -> zipfile.ZipInfo:
    """The entry of a zip, with time and rights."""
    try:
        moment = time.localtime(entry.mtime)[:6]
    except (OverflowError, OSError, ValueError):
        moment = _OLDEST
    info = zipfile.ZipInfo(path, min(max(moment, _OLDEST), _NEWEST))
    info.compress_type = zipfile.ZIP_DEFLATED
    rights = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
    info.external_attr = ((0o040000 if entry.isdir() else 0o100000) | rights) << 16 | (0x10 if entry.isdir() else 0)
    return info


def _count(hash_: Any, path: str, content: bytes) -> None:
    hash_.update(path.encode() + b"\0" + content)


def verify(path: Path, made: Made) -> None:
    """Read a zip from beginning to end. Raises CoursehubError if it does not have what was written into it."""
    whole = hashlib.sha256()
    try:
        with zipfile.ZipFile(path) as there:
            for info in there.infolist():
                hash_ = hashlib.sha256()
                with there.open(info) as content:
                    while piece := content.read(_PIECE):
                        hash_.update(piece)
                _count(whole, info.filename, hash_.digest())
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, ValueError, RuntimeError) as error:
        raise CoursehubError(f"{path.name} cannot be read back ({error}); run this again") from None
    if whole.hexdigest() != made.digest:
        raise CoursehubError(f"{path.name} does not have what the archive has; run this again")
