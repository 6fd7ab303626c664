"""What a restore of the whole server has done, in a file of root that the teacher's computer asks for.

The next run reads it too: it goes on with the same backup, and keeps the results of what it need not restore again.
"""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from typing import Any

from coursehub_backup import state
from coursehub_backup.config import STATE
from coursehub_backup.restic import ResticError
from coursehub_backup.restoring import RestoreError, Version

RECORD = STATE / "everything.json"
FAILURES = (ResticError, RestoreError, OSError, sqlite3.Error, subprocess.SubprocessError, ValueError, LookupError)
_EARLIER = "by an earlier run"


class Report:
    """One run of a restore. It replaces the earlier run's report when its first part begins."""

    def __init__(self, version: Version, total: int) -> None:
        before = state.read(RECORD)
        self._earlier: dict[str, Any] = {}
        if before.get("snapshot") == version.snapshot:
            done = {one["name"]: one for one in before.get("parts", ()) if one["result"] != "failed"}
            self._earlier = {**before.get("earlier", {}), **done}
        self._found: dict[str, Any] = {
            "target": version.target,
            "snapshot": version.snapshot,
            "server": version.server[:8],
            "at": version.at.isoformat(),
            "began": time.time(),
            "ended": None,
            "total": total,
            "now": "",
            "parts": [],
            "earlier": self._earlier,
        }

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[dict[str, Any]]:
        """One part. The block fills in ``result`` and ``why``; an error in it is the part's result."""
        began = time.time()
        found: dict[str, Any] = {"name": name, "result": "restored", "why": ""}
        self._found["now"] = name
        state.write(self._found, RECORD)
        try:
            yield found
        except FAILURES as error:
            found |= {"result": "failed", "why": str(error)}
        self._add({**found, "seconds": round(time.time() - began, 1)})

    @contextlib.contextmanager
    def around(self, name: str) -> Iterator[None]:
        """Around several parts: an error between them becomes a part that failed."""
        try:
            yield
        except FAILURES as error:
            self._found["total"] += 1
            self._add({"name": name, "result": "failed", "why": str(error), "seconds": 0.0})

    def _add(self, found: dict[str, Any]) -> None:
        self._found["parts"].append(found)
        # Only numbers: people's names must not be in the journal.
        print(f"part {len(self._found['parts'])} of {self._found['total']}: {found['result']}", flush=True)

    def was(self, name: str) -> str | None:
        """The result that an earlier run from the same backup had for a part; None if it failed or was not tried."""
        result = self._earlier.get(name, {}).get("result")
        return str(result) if result else None

    def keep_earlier(self, found: dict[str, Any], result: str = "restored", why: str = "") -> None:
        """Fill in a part that an earlier run has restored, with ``result`` and ``why`` if nothing is known of it."""
        known = self._earlier.get(found["name"], {"result": result, "why": why})
        old = known["why"].removeprefix(_EARLIER).removeprefix("; ")
        found |= {"result": known["result"], "why": f"{_EARLIER}; {old}" if old else _EARLIER}

    @property
    def complete(self) -> bool:
        """Whether no part failed, and no file was missing."""
        return all(one["result"] not in ("failed", "partly") for one in self._found["parts"])

    def end(self) -> None:
        """Write that all was tried."""
        self._found |= {"ended": time.time(), "now": ""}
        state.write(self._found, RECORD)


def begin() -> None:
    """Note that a run begins. What the last one did stays until this one has chosen its backup."""
    # Only the unit of the first backup makes the directory.
    RECORD.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    state.write({**state.read(RECORD), "ended": None, "error": None}, RECORD)


def fail(error: Exception) -> None:
    """Note that the run ended with this error."""
    state.write({**state.read(RECORD), "ended": time.time(), "error": str(error)}, RECORD)
