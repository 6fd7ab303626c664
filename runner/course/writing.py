"""Writes a course file: the chosen values, each below a line that explains it."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from runner.course import schema

#: The modeline by which an editor finds the schema from the directory of course files. #!yaml must be the first line,
#: because Salt looks for it there.
HEAD = """\
#!yaml
# yaml-language-server: $schema=../courses.schema.json
# All your decisions about this course; docs/course-file.md describes every key.
# After a change: `./coursehub validate {id}`, `./coursehub plan {id}` (what would change?), `./coursehub apply {id}`.
course:
"""
#: Leaves room for an indent; .yamllint allows 130.
_WIDTH = 110


def compose(course_id: str, choices: Mapping[str, Any]) -> str:
    """The text of a course file for ``choices`` (plain data, not validated here)."""
    course = schema.node_at(("course",)) or {}
    return HEAD.replace("{id}", course_id) + "\n".join(_mapping(course, choices, "  ")) + "\n"


def _mapping(node: schema.Schema, choices: Mapping[str, Any], indent: str) -> Iterator[str]:
    """The choices in the schema's order. Unknown keys come last; reading the file reports them."""
    known = node.get("properties", {})
    for number, key in enumerate(sorted(choices, key=lambda key: list(known).index(key) if key in known else 999)):
        below = known.get(key, {})
        if number and indent == "  ":
            yield ""
        yield from _comment(below, indent)
        if choices[key] == [] and below.get("examples"):
            # As a comment, because without the # it would not be valid there.
            yield f"{indent}# For example: {key}: {flow(below['examples'][0][:2])}"
        yield from _entry(key, choices[key], below, indent)


def _comment(node: schema.Schema, indent: str) -> Iterator[str]:
    """The first sentence of the schema's description, and the allowed values if they are few."""
    said = schema.first_sentence(node)
    if "enum" in node:
        said = f"{said} One of: {', '.join(node['enum'])}."
    return iter(textwrap.wrap(said, _WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# "))


def _entry(key: str, value: Any, node: schema.Schema, indent: str) -> Iterator[str]:
    if isinstance(value, Mapping) and value and "properties" in node:
        yield f"{indent}{key}:"
        yield from _mapping(node, value, indent + "  ")
        return
    line = f"{indent}{key}: {flow(value)}"
    nested = isinstance(value, list) and any(isinstance(one, Mapping) for one in value)
    if not isinstance(value, list) or not value or (len(line) <= _WIDTH and not nested):
        yield line
        return
    yield f"{indent}{key}:"
    for one in value:
        yield from _item(one, f"{indent}  ")


def _item(value: Any, indent: str) -> Iterator[str]:
    line = f"{indent}- {flow(value)}"
    if len(line) <= _WIDTH or not isinstance(value, Mapping):
        yield line
        return
    for number, (key, below) in enumerate(value.items()):
        yield f"{indent}{'  ' if number else '- '}{key}: {flow(below)}"


def flow(value: Any) -> str:
    """``value`` as YAML on one line."""
    if isinstance(value, str) and "\n" in value:
        return json.dumps(value, ensure_ascii=False)
    dumped = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, sort_keys=False, width=10**6)
    return dumped.removesuffix("\n").removesuffix("\n...")
