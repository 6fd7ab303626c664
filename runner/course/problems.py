"""Describes what is wrong with a course file, in lines that a teacher can act on."""

from __future__ import annotations

import datetime
import difflib
import re
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from runner.course import schema
from runner.course.model import CourseFile
from runner.course.people import People
from runner.course.source import Location, Source

#: pydantic's names for a value of the wrong type; for all of them the message says what the key accepts.
_KIND = ("_type", "_parsing", "_from_float", "literal_error", "greater_than", "less_than", "_attributes_type")


@dataclass(frozen=True)
class Problem:
    """One mistake: ``line`` counts from 1, ``key`` is the path in the file such as ``limits.memory``."""

    file: str
    line: int
    key: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"


def find(source: Source) -> list[Problem]:
    """Every mistake in a file that is valid YAML, sorted by line; empty if there is none."""
    try:
        CourseFile.model_validate(source.data)
    except ValidationError as failure:
        return problems(source, failure)
    return []


def problems(source: Source, failure: ValidationError) -> list[Problem]:
    """pydantic's errors in words for a teacher: by line, misspelt keys before keys that are missing because of them."""
    errors = failure.errors()
    misspelt = {error["loc"][:-1] for error in errors if error["type"] == "extra_forbidden"}
    found = []
    for error in errors:
        location = error["loc"]
        # A misspelt key also counts as missing; only the misspelling is reported.
        if error["type"] == "missing" and location[:-1] in misspelt and _is_near_a_misspelt(error, errors):
            continue
        problem = Problem(source.shown, source.line(location), key_of(location), explain(error))
        found.append(_twice(source, error) or problem)
    return sorted(found, key=lambda one: (one.line, one.key))


def _twice(source: Source, error: ErrorDetails) -> Problem | None:
    """An account that two people have, with the line of the second one and both roles."""
    match = re.search(r"the account (\S+) is given twice", error["msg"])
    location = error["loc"]
    if not match or location[-1:] != ("people",):
        return None
    people = source.data["course"]["people"]
    places = [
        (role, number)
        for role in People.model_fields
        for number, one in enumerate(people.get(role) or [])
        if one.get("account") == match[1]
    ]
    lines = [source.line((*location, role, number, "account")) for role, number in places[:2]]
    (first, _), (second, _) = sorted(places[:2], key=lambda place: lines[places.index(place)])
    return Problem(
        source.shown,
        max(lines),
        f"people.{second}",
        f"the account {match[1]} is given twice: among the {first} in line {min(lines)} and among the {second} here; "
        "give one of them another account, or remove one",
    )


def _is_near_a_misspelt(missing: ErrorDetails, errors: list[ErrorDetails]) -> bool:
    siblings = [
        str(error["loc"][-1])
        for error in errors
        if error["type"] == "extra_forbidden" and error["loc"][:-1] == missing["loc"][:-1]
    ]
    return bool(difflib.get_close_matches(str(missing["loc"][-1]), siblings, n=1))


def key_of(location: Location) -> str:
    """A location as messages show it: ``people.students.3.name``, counted from 1."""
    parts = [part + 1 if isinstance(part, int) else part for part in location]
    below = parts[1:] if parts[:1] == ["course"] else parts
    return ".".join(map(str, below)) or "course"


def explain(error: ErrorDetails) -> str:
    """One of pydantic's errors for a teacher: what is wrong, what is allowed, what is nearest."""
    location = error["loc"]
    key = key_of(location)
    node = schema.node_at(location) or {}
    if error["type"] == "extra_forbidden":
        return f"unknown key {key}; {_nearest_key(location)}"
    if error["type"] == "missing":
        such_as = schema.example(node)
        return f"{key} is missing; add it" + (f", such as {location[-1]}: {such_as}" if such_as else "")
    shown = _shown(error.get("input"))
    if error["type"] == "too_short":
        return f"{key}: needs at least {error['ctx']['min_length']} in its list; add one"
    if error["type"].endswith(_KIND) or error["type"].startswith(_KIND):
        hint = _hint(error, node)
        ends = hint.endswith(("?", "remove the line"))
        return f"{key}{shown}: {schema.accepts(node)}{hint}" + ("" if ends else "; correct it")
    said = error["msg"].removeprefix("Value error, ").removeprefix("Input ")
    if node.get("patternErrorMessage") == f"must be {said}":
        return f"{key}{shown}: must be {said}; correct it"
    # Many messages say themselves what to do.
    return f"{key}{shown}: {said}" + ("" if "; " in said else "; correct it")


def _shown(value: Any) -> str:
    if isinstance(value, datetime.date):
        return f" ({value})"
    return f" ({value!r})" if isinstance(value, str | int | float | bool) else ""


def _hint(error: ErrorDetails, node: schema.Schema) -> str:
    """The nearest allowed value, or how to write a value of this type."""
    value = error.get("input")
    if "enum" in node:
        near = difflib.get_close_matches(str(value).lower(), map(str, node["enum"]), n=1)
        return f"; did you mean {near[0]}?" if near else ""
    if value is None:
        return "; there is no value, so give one or remove the line"
    # Without quotes YAML reads 2026 as a number, 2026-09-01 as a date and yes as true.
    if node.get("type") == "string" and isinstance(value, bool | int | float | datetime.date):
        return "; put it in quotes" if re.search(node.get("pattern", ""), str(value)) else ""
    return ""


def _nearest_key(location: Location) -> str:
    """What to write instead of an unknown key: the nearest key, the place where it belongs, or all keys."""
    wrong = str(location[-1])
    here = list(schema.keys(schema.node_at(location[:-1]) or {}))
    near = difflib.get_close_matches(wrong, here, n=1)
    if near:
        return f"did you mean {near[0]}?"
    elsewhere = [
        path
        for path, _ in schema.walk()
        # Not where a group of keys is only one of the ways to write a value.
        if path[-1] == wrong and "[]" not in path and wrong in (schema.node_at(path[:-1]) or {}).get("properties", {})
    ]
    if elsewhere:
        above = elsewhere[0][:-1]
        return f"it belongs below {'.'.join(above[1:]) or above[0]}:"
    return f"the keys here are {', '.join(here)}"
