"""Data sets on the server: downloaded, checked, unpacked, and put in place as a whole."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import shutil
import tarfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import IO, Any

Facts = dict[str, Any]
#: A path in an archive, and a function that opens the file there; None for a directory.
Member = tuple[str, Callable[[], AbstractContextManager[IO[bytes]]] | None]

#: Seconds without a byte.
TIMEOUT = 60


class DataError(Exception):
    """A data set could not be stored; the message is for the teacher."""


def store(root: Path, name: str, given: Facts, wanted: Facts, sent: Callable[[str], Path]) -> None:
    """Put a set in its place; remove first what an interrupted run left.

    ``sent`` returns the path of a file that was shipped with the states.

    Raises DataError; then the old set stays in its place.
    """
    fetched, unfinished, old = (root / f".{name}.{what}" for what in ("download", "new", "old"))
    for left in (fetched, unfinished, old):
        remove(left)
    umask = os.umask(0o022)
    try:
        if given["source"].startswith("salt://"):
            file = sent(given["source"])
        else:
            download(given["source"], wanted["sha256"], fetched)
            file = fetched
        if wanted["unpack"]:
            unpack(file, unfinished)
        else:
            shutil.copyfile(file, unfinished)
            unfinished.chmod(0o644)
        if os.path.lexists(root / name):
            (root / name).rename(old)
        unfinished.rename(root / name)
    except OSError as problem:
        raise DataError(f"{problem.strerror or problem}; the old one stays") from problem
    finally:
        os.umask(umask)
        for left in (fetched, unfinished, old):
            remove(left)


def remove(path: Path) -> None:
    """Remove a file, a link, or a directory with everything in it."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def download(source: str, sha256: str, target: Path) -> None:
    """Download a file; raise DataError unless it came over TLS, complete, and with this checksum."""
    digest = hashlib.sha256()
    try:
        with urllib.request.urlopen(source, timeout=TIMEOUT) as answer, target.open("wb") as file:  # noqa: S310
            if not answer.geturl().startswith("https://"):
                raise DataError(f"{source} leads to an address without TLS; nothing was replaced; correct source")
            while chunk := answer.read(1 << 20):
                digest.update(chunk)
                file.write(chunk)
            # The rest of Content-Length: an interrupted transfer ends without an error.
            if answer.length:
                raise DataError(f"{source} ended {answer.length} bytes too early; nothing was replaced; try later")
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as problem:
        reason = getattr(problem, "reason", "") or problem
        raise DataError(f"{source} cannot be had ({reason}); nothing was replaced; correct it, or try later") from None
    if digest.hexdigest() != sha256:
        raise DataError(
            f"{source} has the SHA-256 {digest.hexdigest()} and not {sha256}; nothing was replaced; look whether the "
            "file was meant to change, then correct sha256"
        )


def unpack(file: Path, target: Path) -> None:
    """Unpack only files and directories of an archive: no links, no devices, nothing outside ``target``."""
    try:
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                _write_members(_of_zip(archive), target)
        elif tarfile.is_tarfile(file):
            with tarfile.open(file) as archive:
                _write_members(_of_tar(archive), target)
        else:
            raise DataError("is no zip and no tar archive; nothing was replaced; take unpack out, or give another")
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, RuntimeError) as problem:
        raise DataError(f"cannot be unpacked ({problem}); nothing was replaced; give another") from None


def _of_zip(archive: zipfile.ZipFile) -> Iterator[Member]:
    for one in archive.infolist():
        yield one.filename, None if one.is_dir() else partial(archive.open, one)


def _of_tar(archive: tarfile.TarFile) -> Iterator[Member]:
    for one in archive.getmembers():
        if one.isdir():
            yield one.name, None
        elif one.isfile():
            inside = archive.extractfile(one)
            if inside is not None:
                yield one.name, partial(contextlib.closing, inside)


def _write_members(members: Iterable[Member], target: Path) -> None:
    target.mkdir(mode=0o755)
    for name, opened in members:
        parts = Path(name).parts
        if Path(name).is_absolute() or ".." in parts:
            raise DataError(f"has a file outside of itself ({name}); nothing was replaced; give another")
        path = target.joinpath(*parts)
        if opened is None:
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        with opened() as inside, path.open("wb") as file:
            shutil.copyfileobj(inside, file)
