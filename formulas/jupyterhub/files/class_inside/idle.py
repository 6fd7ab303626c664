"""Whose server makes room when others wait for memory: the one that nobody has used for the longest time."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any


def longest_idle(spawners: Iterable[Any], seconds: int, now: datetime) -> Any | None:
    """Return the spawner of the server that was idle longest, and for at least ``seconds``; None if there is none.

    A server reports what a person does in it, and that a kernel or terminal computes (formula course_env).
    """
    found = [(when, one) for one in spawners if one.ready and (when := last_used(one)) is not None]
    found = [(when, one) for when, one in found if (now - when).total_seconds() >= seconds]
    return min(found, key=lambda pair: pair[0])[1] if found else None


def last_used(spawner: Any) -> datetime | None:
    """Return when a server was last used; None if the hub does not know. The hub's database has times without zone."""
    row = spawner.orm_spawner
    when = (row.last_activity or row.started) if row else None
    return when.replace(tzinfo=UTC) if when else None
