"""Reads a tar stream strictly: every entry, or an error."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Callable
from typing import IO, Any, Protocol, Self, cast

_PIECE = 1 << 20


class Readable(Protocol):
    """What can be read piece by piece."""

    def read(self, size: int, /) -> bytes:
        """The next bytes; none at the end."""
        ...


def walk(source: Readable, take: Callable[[tarfile.TarFile, tarfile.TarInfo], None]) -> int:
    """Call ``take`` with each entry of a tar stream; return their number. Raises tarfile.TarError."""
    entries = 0
    with tarfile.open(fileobj=cast("IO[bytes]", source), mode="r|", bufsize=_PIECE, tarinfo=_Strict) as tar:
        known = cast("Any", tar)
        while (entry := tar.next()) is not None:
            entries += 1
            take(tar, entry)
            # Otherwise all of them stay in memory.
            known.members.clear()
        while piece := known.fileobj.read(_PIECE):
            if piece.strip(b"\0"):
                raise tarfile.TarError(f"something follows its {entries} entries")
    return entries


class _Strict(tarfile.TarInfo):
    """Python's reader takes a damaged header for the end of the stream, and says nothing."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        try:
            return super().frombuf(buf, encoding, errors)
        except tarfile.InvalidHeaderError as error:  # type: ignore[attr-defined]  # typeshed lacks it
            raise tarfile.TarError(f"an entry has a damaged header ({error})") from None


class Hashed:
    """A stream that is hashed while it is read; ``report`` gets the bytes of each piece."""

    def __init__(self, source: IO[bytes], report: Callable[[int], None]) -> None:
        self.hash = hashlib.sha256()
        self._source, self._report = source, report

    def read(self, size: int) -> bytes:
        """The next bytes."""
        piece = self._source.read(size)
        self.hash.update(piece)
        self._report(len(piece))
        return piece
