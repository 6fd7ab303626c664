"""Habits of the real API that clients must handle, enabled by `manners.json` beside the account, for tests.

The file contains one object and is read at each request; all times are in seconds:

    {"listed_after": 3, "tags_after": 2, "address_after": 1, "deleted_listed_for": 5, "pending_for": 2, "pages_fail": 1}

A new droplet is missing from lists, has no tags, or has no address at first. A deleted one is still listed for a while.
For a while after a create, every action on the droplet, also its delete, is refused with a pending event. Each page of
a list except the first fails ``pages_fail`` times.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

from pydantic import BaseModel

from runner.local.store import Droplet


class _Habits(BaseModel, frozen=True):
    listed_after: float = 0.0
    tags_after: float = 0.0
    address_after: float = 0.0
    deleted_listed_for: float = 0.0
    pending_for: float = 0.0
    pages_fail: int = 0


class Manners:
    """How the API answers about droplets that are new or were just deleted. Without a file it has no such habits."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._made: dict[int, float] = {}
        self._gone: list[tuple[float, Droplet]] = []
        self._failed: dict[str, int] = {}

    def made(self, droplet: Droplet) -> None:
        """Record that a droplet was made now."""
        self._made[droplet.id] = time.monotonic()

    def gone(self, droplet: Droplet) -> None:
        """Record that a droplet was deleted now."""
        self._gone.append((time.monotonic(), droplet.model_copy()))
        del self._gone[:-100]

    def listed(self, droplets: list[Droplet]) -> list[Droplet]:
        """What a list contains of these droplets, and of deleted ones."""
        habits, now = self._habits(), time.monotonic()
        ghosts = [droplet for when, droplet in self._gone if now - when < habits.deleted_listed_for]
        return [droplet for droplet in droplets if self._age(droplet) >= habits.listed_after] + ghosts

    def tags(self, droplet: Droplet) -> list[str]:
        """The droplet's tags so far."""
        return droplet.tags if self._age(droplet) >= self._habits().tags_after else []

    def has_address(self, droplet: Droplet) -> bool:
        """Whether the droplet has its address yet."""
        return self._age(droplet) >= self._habits().address_after

    def is_pending(self, droplet: Droplet) -> bool:
        """Whether an action is still reported as running on the droplet."""
        return self._age(droplet) < self._habits().pending_for

    def page_fails(self, page: str) -> bool:
        """Whether a page of a list fails this time."""
        times = self._failed.get(page, 0)
        if times >= self._habits().pages_fail:
            self._failed.pop(page, None)
            return False
        self._failed[page] = times + 1
        return True

    def _age(self, droplet: Droplet) -> float:
        return time.monotonic() - self._made.get(droplet.id, float("-inf"))

    def _habits(self) -> _Habits:
        if self._path is None or not self._path.exists():
            return _Habits()
        return _Habits(**json.loads(self._path.read_text(encoding="utf-8")))
