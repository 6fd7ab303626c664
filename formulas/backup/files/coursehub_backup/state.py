"""The record of each target's backups, and what is wrong with them. Times are seconds since 1970."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from coursehub_backup.config import STATE, Config

#: Seconds after which the last good backup is too old: outside and within the hours with an hourly backup.
NIGHTLY, HOURLY = 26 * 3600, 2.5 * 3600

Record = dict[str, Any]


def read(path: Path | None = None) -> Record:
    """The record; empty if the file is missing or damaged."""
    try:
        found = json.loads((path or STATE / "state.json").read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write(record: Record, path: Path | None = None) -> None:
    """Replace the record atomically."""
    path = path or STATE / "state.json"
    handle, name = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(handle, "w") as file:
        json.dump(record, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    Path(name).replace(path)


def note(target: str, path: Path | None = None, **facts: Any) -> None:
    """Add facts to the record of one target."""
    record = read(path)
    record.setdefault("targets", {}).setdefault(target, {}).update(facts)
    write(record, path)


def ago(seconds: float) -> str:
    """A duration in words."""
    if seconds < 5400:
        return f"{max(0, round(seconds / 60))} minutes"
    return f"{round(seconds / 3600)} hours" if seconds < 36 * 3600 else f"{round(seconds / 86400)} days"


def longest(config: Config, now: float) -> float:
    """How many seconds old the last good backup may be at the time ``now``."""
    if config.hours is None:
        return NIGHTLY
    hour = time.localtime(now).tm_hour
    first, last = config.hours
    # In the first two hours the last backup may still be the nightly one.
    return HOURLY if first + 2 < hour <= last else NIGHTLY


def problem(config: Config, record: Record, now: float, since: float) -> str | None:
    """What is wrong, in one line; None if each target has a recent backup.

    ``since`` replaces the last good backup of a target that has none yet. Before the first run nothing is late.
    """
    return next((line for _, line in _problems(config, record, now, since)), None)


def _problems(config: Config, record: Record, now: float, since: float) -> Iterator[tuple[str, str]]:
    """Each problem, after the name of its target."""
    for target in config.targets:
        known = record.get("targets", {}).get(target.name, {})
        good = known.get("ok")
        last = f"the last good one is {ago(now - good)} old" if good else "there is none yet"
        if known.get("error"):
            yield target.name, f"backup to {target.name} failed: {known['error']}; {last}"
        elif now - (good or since) > longest(config, now):
            yield target.name, f"backup to {target.name} is late: {last}"
        elif known.get("damage"):
            yield target.name, f"backup at {target.name} is damaged: {known['damage']}"
        elif good and good > now + 3600:
            yield (
                target.name,
                f"backup to {target.name}: its last one is from the future, so the server's clock is wrong",
            )


def document(config: Config, now: float) -> Record:
    """Everything that ``status`` reports."""
    record = read()
    since = (STATE / "since").stat().st_mtime if (STATE / "since").exists() else now
    where, what = next(_problems(config, record, now, since), (None, None))
    return {
        "now": now,
        "problem": what,
        "problem_at": where,
        "targets": {
            target.name: {
                **record.get("targets", {}).get(target.name, {}),
                **({"dies_with_server": True} if target.dies_with_server else {}),
            }
            for target in config.targets
        },
    }


def line(found: Record) -> str:
    """A document as one line for a teacher, which begins with ``ok`` or ``bad``."""
    if found["problem"]:
        return f"bad {found['problem']}"
    times = [one["ok"] for one in found["targets"].values() if one.get("ok")]
    if not times:
        return "ok the first one is not due yet"
    unread = max(one.get("unread") or 0 for one in found["targets"].values())
    but = f"; {unread} files could not be read" if unread else ""
    left_out = sorted({name for one in found["targets"].values() for name in one.get("left_out") or ()})
    if left_out:
        but += f"; left out, with too many or too large empty files: {', '.join(left_out)}"
    lost = [name for name, one in found["targets"].items() if one.get("dies_with_server")]
    if lost:
        but += f"; {', '.join(lost)} is on the server's own disk and is lost with it"
    return f"ok the last one is {ago(found['now'] - min(times))} old, at {', '.join(found['targets'])}{but}"
