"""Describes changes for a teacher: keys of the course file, old and new value, and whom a change reaches when."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.course import Course
from runner.course.facts import Reaches
from runner.files import write_private
from runner.project import Project
from runner.servers.access import Access


@dataclass(frozen=True)
class Fact:
    """One changed key of the course file: old and new value as typed, and whom it reaches when."""

    key: str
    old: str
    new: str
    reaches: str

    def __str__(self) -> str:
        return f"{self.key}: {self.old} -> {self.new} (reaches {self.reaches})"


def _file(project: Project, course_id: str) -> Path:
    return Access(project, course_id).applied


def keep(project: Project, course_id: str, course: Course) -> None:
    """Store what was applied, for the next ``since``; people are not included."""
    write_private(_file(project, course_id), json.dumps(_facts(course)))


def since(project: Project, course_id: str, course: Course) -> list[Fact]:
    """The changes of the course file since this computer last applied it; empty if that is unknown."""
    try:
        before = json.loads(_file(project, course_id).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    now = _facts(course)
    return [Fact(key, old, new, _reaches(key.partition(".")[0])) for key, old, new in between(before, now)]


def _reaches(key: str) -> str:
    field = Course.model_fields.get(key)
    return (
        next((one.whom for one in field.metadata if isinstance(one, Reaches)), "the server") if field else "the server"
    )


def _facts(course: Course) -> dict[str, Any]:
    facts: dict[str, Any] = course.model_dump(mode="json", exclude={"people"})
    return facts


def between(old: Any, new: Any, path: str = "") -> Iterator[tuple[str, str, str]]:
    """The differing values of two documents: path, old, new. For lists, the removed and the added entries."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys([*old, *new]):
            yield from between(old.get(key), new.get(key), f"{path}.{key}" if path else str(key))
    elif old != new:
        yield path, _shown(old, new), _shown(new, old)


def _shown(value: Any, other: Any) -> str:
    if isinstance(value, list) and isinstance(other, list):
        here = [one for one in value if one not in other]
        return ", ".join(map(_plain, here)) or "(nothing)" if here or value else "(nothing)"
    return _plain(value)


def _plain(value: Any) -> str:
    if value in (None, "", [], {}):
        return "(nothing)"
    if isinstance(value, bool):
        return str(value).lower()
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 100 else f"{text[:97]}..."


def diff(changes: dict[str, Any]) -> str:
    """The changes of one state as text: a unified diff if Salt made one, otherwise key: old -> new."""
    if isinstance(changes.get("diff"), str):
        return short(str(changes["diff"]))
    lines = []
    # Of a command only its output counts.
    changes = {key: value for key, value in changes.items() if key not in ("pid", "retcode") or "pid" not in changes}
    for key, value in changes.items():
        if isinstance(value, dict) and {"old", "new"} & set(value):
            lines.append(f"{key}: {value.get('old') or '(nothing)'} -> {value.get('new') or '(nothing)'}")
        elif value not in ("", None):
            lines.append(f"{key}: {value}")
    return "\n".join(lines)


def short(unified: str) -> str:
    """Shorten a unified diff: if a long line of JSON was replaced, show only what differs."""
    shortened: list[str] = []
    lines = unified.splitlines()
    at = 0
    while at < len(lines):
        pair = lines[at : at + 2]
        documents = [_json_in(line) for line in pair]
        if len(pair) == 2 and pair[0][:1] == "-" and pair[1][:1] == "+" and all(one is not None for one in documents):
            shortened += [f"  {path}: {old} -> {new}" for path, old, new in between(*documents)]
            at += 2
        else:
            shortened.append(lines[at])
            at += 1
    return "\n".join(shortened)


def _json_in(line: str) -> Any:
    """The JSON document within a line, or None."""
    start, end = line.find("{"), line.rfind("}")
    if len(line) < 120 or start < 0:
        return None
    try:
        return json.loads(line[start : end + 1])
    except ValueError:
        return None
