"""Generates the course file's JSON schema from the typed model, for editors; our own error messages use its texts."""

from __future__ import annotations

import copy
import functools
import json
import re
from collections.abc import Iterator
from typing import Any

from runner.course.model import CourseFile
from runner.course.source import Location

Schema = dict[str, Any]


def course_schema() -> Schema:
    """The schema of a whole course file without references: draft 7, which editors support best."""
    return copy.deepcopy(_course_schema())


def text() -> str:
    """The schema as it is stored in the repository."""
    return json.dumps(_course_schema(), indent=2, ensure_ascii=False) + "\n"


@functools.cache
def _course_schema() -> Schema:
    made = CourseFile.model_json_schema()
    inlined: Schema = _inline(made, made.get("$defs", {}))
    inlined.pop("$defs", None)
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$comment": "Made by `./coursehub schema --write`; not to be edited.",
        "title": "The course file of coursehub",
        **inlined,
    }


def _inline(node: Any, definitions: Schema) -> Any:
    """``node`` with its references replaced by what they refer to, and without pydantic's generated titles."""
    if isinstance(node, list):
        return [_inline(one, definitions) for one in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        # Keys next to a reference describe this key, so they override those of the referenced type.
        node = {**definitions[node["$ref"].rpartition("/")[2]], **{k: v for k, v in node.items() if k != "$ref"}}
    choices = node.get("anyOf", [])
    if {"type": "null"} in choices and len(choices) == 2:
        # The key may be omitted, but if it is written it needs a value.
        kind = next(one for one in choices if one != {"type": "null"})
        node = {**kind, **{k: v for k, v in node.items() if k != "anyOf" and (k, v) != ("default", None)}}
        return _inline(node, definitions)
    done: Schema = {}
    for key, value in node.items():
        if key == "title" and isinstance(value, str):
            continue
        if key == "properties":
            done[key] = {name: _inline(one, definitions) for name, one in value.items()}
        elif key == "description":
            done[key] = " ".join(value.replace("``", "`").split())
        elif key in ("default", "examples", "enum", "const"):
            done[key] = value
        else:
            done[key] = _inline(value, definitions)
    return done


def step(node: Schema, part: str | int) -> Schema | None:
    """The node below ``node`` for one part of a location, or None if the schema has none."""
    for branch in (node, *node.get("anyOf", ()), *node.get("oneOf", ())):
        if isinstance(part, int):
            found = branch.get("items")
        else:
            found = branch.get("properties", {}).get(part) or branch.get("additionalProperties")
        if isinstance(found, dict):
            return found
    return None


def node_at(location: Location) -> Schema | None:
    """The node for a value in the file, such as ``("course", "limits", "memory")``."""
    node: Schema | None = _course_schema()
    for part in location:
        node = step(node, part) if node is not None else None
    return node


def walk(node: Schema | None = None, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Schema]]:
    """Every key below ``node`` (by default the whole file) with its path; list entries are shown as ``[]``."""
    node = _course_schema() if node is None else node
    for branch in (node, *node.get("anyOf", ()), *node.get("oneOf", ())):
        for name, below in branch.get("properties", {}).items():
            yield (*path, name), below
            yield from walk(below, (*path, name))
        for entries in ("items", "additionalProperties"):
            if isinstance(branch.get(entries), dict):
                yield from walk(branch[entries], (*path, "[]" if entries == "items" else "*"))


def keys(node: Schema) -> dict[str, Schema]:
    """The keys below a node; none if its value has no keys. Some values may be either a group of keys or simpler."""
    branches = (node, *node.get("anyOf", ()), *node.get("oneOf", ()))
    return {name: below for branch in branches for name, below in branch.get("properties", {}).items()}


def accepts(node: Schema) -> str:
    """What a key accepts, in words: `must be a whole number from 64 to 32768`."""
    if "enum" in node:
        return "must be one of " + ", ".join(map(str, node["enum"]))
    if "patternErrorMessage" in node:
        return str(node["patternErrorMessage"])
    return {
        "string": "must be text in quotes",
        "boolean": "must be true or false",
        "array": "must be a list (a line with '- ' for each)",
        "object": "must be a group of keys below it",
        "integer": f"must be a whole number{_bounds(node)}",
        "number": f"must be a number{_bounds(node)}",
    }.get(str(node.get("type")), "must be another kind of value")


def _bounds(node: Schema) -> str:
    low = f" from {node['minimum']}" if "minimum" in node else ""
    above = f" above {node['exclusiveMinimum']}" if "exclusiveMinimum" in node else ""
    high = f" to {node['maximum']}" if "maximum" in node else ""
    return f"{low}{above}{high}".replace(".0", "")


def first_sentence(node: Schema) -> str:
    """The first sentence of a key's description."""
    return re.split(r"(?<=\.) (?=[A-Z`])", node.get("description", ""), maxsplit=1)[0]


def example(node: Schema) -> str:
    """The first example of a key as typed into the file, or an empty string."""
    shown = node.get("examples") or []
    return json.dumps(shown[0], ensure_ascii=False) if shown else ""
