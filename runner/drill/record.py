"""The result of a course's last drill, for ``status`` and ``check``."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from runner.drill.copy import place
from runner.files import write_private
from runner.project import Project

Record = dict[str, Any]


def begin(project: Project, course_id: str) -> float:
    """Note that a drill begins; returns when, in seconds since 1970."""
    now = time.time()
    _write(project, course_id, {"began": now, "ok": None, "error": None})
    return now


def end(project: Project, course_id: str, began: float, *, error: str | None, **facts: Any) -> Record:
    """Note how a drill ended, and return the record."""
    found = {**facts, "began": began, "ok": error is None, "error": error, "total": round(time.time() - began, 1)}
    _write(project, course_id, found)
    return found


def read(project: Project, course_id: str) -> Record | None:
    """The last drill: ``began``, ``ok`` (None if it did not end), ``error``, ``total`` (its seconds) and what it found.

    None if there was none.
    """
    try:
        found: Record = json.loads(_path(project, course_id).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found


def line(course_id: str, found: Record, *, running: bool) -> str:
    """The record in one line."""
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(found["began"]))
    if found["ok"] is None and running:
        return f"one has been running since {when}"
    if found["ok"] is None:
        return (
            f"the one of {when} was interrupted, and its server may still be there; 'coursehub drill {course_id}' "
            "deletes it and tries again"
        )
    if not found["ok"]:
        return f"the one of {when} failed: {found['error']}"
    return (
        f"on {when} {found['files']} files came back equal; a student had a kernel after {duration(found['seconds'])}, "
        f"with data {duration(found['age'])} old"
    )


def duration(seconds: float) -> str:
    """Seconds, minutes, hours or days, whichever suits."""
    for size, unit, most in ((1, "s", 120), (60, "minutes", 120), (3600, "hours", 48)):
        if seconds < most * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86400:.0f} days"


def _path(project: Project, course_id: str) -> Path:
    return place(project, course_id).with_suffix(".json")


def _write(project: Project, course_id: str, found: Record) -> None:
    write_private(_path(project, course_id), json.dumps(found))
