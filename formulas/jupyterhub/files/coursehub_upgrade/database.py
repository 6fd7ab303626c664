"""The hub's database: copied while the hub runs, and put back in the form that the version before can read.

JupyterHub migrates its database forward only, and refuses one of a newer version. So the version before gets the copy
from before the switch, and then everything that people did since: accounts, sessions, tokens, running servers.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def copy(source: Path, target: Path) -> None:
    """Make a consistent copy that only root can read, also while the hub writes. Replaces ``target`` in one step."""
    fresh = target.with_name(f"{target.name}.new")
    fresh.unlink(missing_ok=True)
    os.close(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    with closing(_open(source)) as old, closing(_open(fresh)) as new:
        old.backup(new)
        # A journal file beside the copy would have to move with it.
        new.execute("PRAGMA journal_mode=DELETE")
    fresh.replace(target)


def revision(database: Path) -> str | None:
    """The schema's revision; None without a database, or if it cannot be read."""
    if not database.exists():
        return None
    with closing(_open(database)) as open_database:
        try:
            found = open_database.execute("SELECT version_num FROM alembic_version").fetchone()
        except sqlite3.DatabaseError:
            return None
    return str(found[0]) if found else None


def forget_servers(database: Path) -> None:
    """Remove what the database says of running servers: a trial must not take them for its own."""
    with closing(_open(database)) as open_database, open_database:
        open_database.execute("UPDATE spawners SET server_id = NULL")


@dataclass(frozen=True)
class Prepared:
    """What takes the place of the database ``present``; ``fresh`` is None if ``present`` stays."""

    present: Path
    fresh: Path | None = None
    #: What this means for people; an empty string if nothing is lost.
    lost: str = ""

    def replace(self) -> None:
        """Put it in place, in one step; the hub must be stopped."""
        if self.fresh:
            for journal in ("-journal", "-wal", "-shm"):
                self.present.with_name(self.present.name + journal).unlink(missing_ok=True)
            self.fresh.replace(self.present)

    def forget(self) -> None:
        """Remove it; ``present`` stays."""
        if self.fresh:
            self.fresh.unlink(missing_ok=True)


def prepare(present: Path, before: Path) -> Prepared:
    """Make, beside the database ``present``, what the version that wrote ``before`` can read; the hub must be stopped.

    May be interrupted and repeated. Raises OSError, sqlite3.Error; then it leaves nothing.
    """
    if not before.exists() or revision(present) == revision(before):
        # The version before reads the present one, which has everything.
        return Prepared(present)
    target = present.with_name(f"{present.name}.back")
    try:
        lost = _as_before(present, before, target)
    except (OSError, sqlite3.Error):
        # The disk may be full.
        for ending in ("", "-journal", ".new", ".new-journal"):
            target.with_name(target.name + ending).unlink(missing_ok=True)
        raise
    return Prepared(present, target, lost)


def _as_before(present: Path, before: Path, target: Path) -> str:
    copy(before, target)
    try:
        _carry(present, target)
    except (sqlite3.Error, LookupError):
        # Better the version before without the last sessions than no hub.
        copy(before, target)
        return "who signed in since the upgrade must sign in again"
    return ""


def _carry(present: Path, target: Path) -> None:
    """Write into ``target``, which has an older schema, what people did since it was copied. All or nothing."""
    with closing(_open(present)) as now, closing(_open(target)) as then, then:
        people = _matched(now, then, "users", "name")
        groups = _matched(now, then, "groups", "name")
        _matched(now, then, "oauth_clients", "identifier", remove=False)
        then.execute("DELETE FROM user_group_map")
        _insert(now, then, "user_group_map", {"user_id": people.__getitem__, "group_id": groups.__getitem__})
        # Those of services stay as they were: a service gets its server and its token from the configuration.
        then.execute("DELETE FROM servers WHERE id IN (SELECT server_id FROM spawners)")
        then.execute("DELETE FROM spawners")
        of_people = "id IN (SELECT server_id FROM spawners)"
        servers = _insert(now, then, "servers", {}, where=of_people)
        _insert(now, then, "spawners", {"user_id": people.__getitem__, "server_id": servers.get})
        then.execute("DELETE FROM api_tokens WHERE user_id IS NOT NULL")
        _insert(now, then, "api_tokens", {"user_id": people.__getitem__}, where="user_id IS NOT NULL")


def _open(database: Path) -> sqlite3.Connection:
    # Also where it is only read: after a power cut SQLite first undoes what was half written.
    connection = sqlite3.connect(f"file:{database}?mode=rw", uri=True, timeout=30)
    connection.row_factory = sqlite3.Row
    # As JupyterHub has it: who is removed loses their roles too.
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def _columns(database: sqlite3.Connection, table: str) -> list[str]:
    return [row["name"] for row in database.execute(f"PRAGMA table_info({table})")]


def _rows(database: sqlite3.Connection, table: str, where: str = "1") -> Iterable[Row]:
    return [dict(row) for row in database.execute(f"SELECT * FROM {table} WHERE {where}")]  # noqa: S608


def _matched(
    now: sqlite3.Connection, then: sqlite3.Connection, table: str, key: str, *, remove: bool = True
) -> dict[int, int]:
    """Give ``then`` the rows of ``now``, matched by the column ``key``; return its ids by those of ``now``."""
    known = {row[key]: row["id"] for row in _rows(then, table)}
    columns = [name for name in _columns(then, table) if name in _columns(now, table) and name != "id"]
    found: dict[int, int] = {}
    for row in _rows(now, table):
        if row[key] in known:
            found[row["id"]] = known.pop(row[key])
            settings = ", ".join(f"{name} = :{name}" for name in columns)
            values = {**row, "id": found[row["id"]]}
            then.execute(f"UPDATE {table} SET {settings} WHERE id = :id", values)  # noqa: S608
        else:
            found[row["id"]] = _add(then, table, {name: row[name] for name in columns})
    for identifier in known.values() if remove else ():
        then.execute(f"DELETE FROM {table} WHERE id = ?", (identifier,))  # noqa: S608
    return found


def _insert(
    now: sqlite3.Connection,
    then: sqlite3.Connection,
    table: str,
    translated: Mapping[str, Callable[[Any], Any]],
    *,
    where: str = "1",
) -> dict[int, int]:
    """Add the rows of ``now``; return their new ids by the old ones. ``translated`` columns refer to other rows."""
    columns = [name for name in _columns(then, table) if name in _columns(now, table) and name != "id"]
    found: dict[int, int] = {}
    for row in _rows(now, table, where):
        values = {name: translated[name](row[name]) if name in translated else row[name] for name in columns}
        added = _add(then, table, values)
        if "id" in row:
            found[row["id"]] = added
    return found


def _add(database: sqlite3.Connection, table: str, values: Row) -> int:
    names, places = ", ".join(values), ", ".join(f":{name}" for name in values)
    done = database.execute(f"INSERT INTO {table} ({names}) VALUES ({places})", values)  # noqa: S608
    return int(done.lastrowid or 0)
