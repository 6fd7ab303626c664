"""Before the hub starts: a database that is damaged or gone is replaced by the newest copy, which backups make.

Without a copy the hub begins with an empty one. Homes and passwords are elsewhere, but everybody must sign in again.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import sys
import time
from pathlib import Path

#: Files beside a database that SQLite would write into it.
_JOURNALS = ("-wal", "-shm", "-journal")


def is_good(database: Path) -> bool:
    """Whether SQLite can read all of it. A database that is locked counts as good."""
    if not database.exists() or not database.stat().st_size:
        return False
    try:
        with contextlib.closing(sqlite3.connect(database)) as there:
            found: tuple[str] = there.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError:
        return True
    except sqlite3.DatabaseError:
        return False
    return found[0] == "ok"


def mend(database: Path, copy: Path) -> str:
    """Put a database that is not good aside, and the copy in its place. Returns what was done; empty if nothing."""
    if is_good(database):
        return ""
    said = []
    mark = f".damaged-{time.strftime('%Y%m%d-%H%M%S')}"
    for path in (database, *(database.with_name(database.name + end) for end in _JOURNALS)):
        if path.exists():
            path.rename(path.with_name(path.name + mark))
            said.append(f"{path.name} was damaged and is now {path.name}{mark}")
    if is_good(copy):
        new = database.with_name(f"{database.name}.new")
        new.unlink(missing_ok=True)
        new.touch(mode=0o600)
        shutil.copyfile(copy, new)
        with new.open("rb") as file:
            os.fsync(file.fileno())
        new.replace(database)
        made = time.strftime("%F %H:%M", time.localtime(copy.stat().st_mtime))
        said.append(f"the copy of {made} took the place of {database.name}")
    return "; ".join(said)


if __name__ == "__main__":
    if done := mend(Path(sys.argv[1]), Path(sys.argv[2])):
        print(done, file=sys.stderr)
