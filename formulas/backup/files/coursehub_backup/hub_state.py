"""Restores what the hub knew: its database, who left when, and who opened whose work."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path


def is_used(database: Path, except_for: Iterable[str], *, seconds: float = 10) -> bool:
    """Whether anybody has signed in to a hub, except these accounts. A damaged database counts as unused.

    Raises sqlite3.Error if it cannot be read for another reason.
    """
    ignored = set(except_for)
    try:
        with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=seconds)) as known:
            rows = known.execute("select name from users where last_activity is not null").fetchall()
    except sqlite3.Error as error:
        # An extended code has the kind in its lowest byte. The third is a database without the table.
        if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_ERROR):
            raise
        return False
    return any(name not in ignored for (name,) in rows)


def put_database(content: bytes, database: Path) -> None:
    """Replace a database whose program does not run. Raises OSError, sqlite3.Error."""
    new = database.with_name(f"{database.name}.restored")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    with contextlib.closing(sqlite3.connect(new)) as copy:
        if copy.execute("PRAGMA quick_check").fetchone() != ("ok",):
            raise sqlite3.DatabaseError("the copy in the backup is damaged")
    if database.exists():
        present = database.stat()
        os.chown(new, present.st_uid, present.st_gid)
        new.chmod(present.st_mode & 0o777)
    # Before the new one is there: SQLite would write the old one's journal into it.
    for ending in ("-wal", "-shm", "-journal"):
        database.with_name(f"{database.name}{ending}").unlink(missing_ok=True)
    new.replace(database)


def merge_marks(old: bytes, present: Path) -> None:
    """Add the old marks of who left (JSON by account) to the present ones. Raises OSError, ValueError."""
    here = json.loads(present.read_text()) if present.exists() else {}
    _put(json.dumps({**json.loads(old), **here}, indent=0, sort_keys=True).encode(), present)


def join_log(old: bytes, present: Path) -> None:
    """Put the old lines of a log before the present ones, once. Raises OSError."""
    here = present.read_bytes() if present.exists() else b""
    known = set(old.splitlines())
    later = b"".join(line for line in here.splitlines(keepends=True) if line.rstrip(b"\n") not in known)
    if here != old + later:
        _put(old + later, present)


def _put(content: bytes, path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
    new = path.with_name(f"{path.name}.restored")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
    new.replace(path)
