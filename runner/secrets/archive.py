"""Packs files into one compressed tar archive, and unpacks it."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping

from runner.errors import CoursehubError
from runner.files import PRIVATE


def pack(files: Mapping[str, bytes]) -> bytes:
    """Return an archive with these files: the content by name."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:xz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), PRIVATE
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def unpack(content: bytes) -> dict[str, bytes]:
    """Return the files of an archive. Raises CoursehubError if it is none."""
    found = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:xz") as archive:
            for entry in archive:
                file = archive.extractfile(entry) if entry.isreg() else None
                if file is not None:
                    found[entry.name] = file.read()
    except (tarfile.TarError, EOFError, OSError) as error:
        raise CoursehubError("this is not a backup of keys; use the file that 'coursehub keys backup' wrote") from error
    return found
