"""Generates docs/course-file.md: every key of the course file, from the schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from runner.course import schema
from runner.course.writing import compose

_HEAD = """\
# The course file

<!-- Made by `./coursehub schema --write` from runner/course/; not to be edited. -->

`pillar/courses/COURSE.sls` is the only file that you edit for a course. It is YAML: a key, a colon, a space, a value.
Keys below another key are indented by two more spaces. Put text that contains a colon or a `#` in quotes.

    ./coursehub new COURSE               # asks, and writes a file with comments
    ./coursehub new COURSE --from OLD    # next term's file: the old choices without the old class
    ./coursehub validate                 # every mistake in every course file, with its line; changes nothing
    ./coursehub plan COURSE              # shows what would change
    ./coursehub apply COURSE             # changes the server

A wrong file never reaches a server: each verb checks it first, and says the line, what is wrong and what is allowed
there.
A complete example is [`pillar/courses/pillar.example`](../pillar/courses/pillar.example).

**In an editor**: files made by `new` name their schema in the second line
([`pillar/courses.schema.json`](../pillar/courses.schema.json)). VS Code with Red Hat's YAML extension then completes
keys, explains them under the mouse and marks mistakes. It must know that `.sls` is YAML: add `"files.associations":
{"pillar/courses/*.sls": "yaml"}` to its settings.

"""


def page() -> str:
    """The page as Markdown."""
    course = schema.node_at(("course",)) or {}
    parts = [_HEAD + "\n".join(_overview(course)), *_sections(course, ())]
    return "\n\n".join(parts) + "\n"


def example() -> str:
    """pillar/courses/pillar.example: a course file with every key, from the schema's examples."""
    course = schema.node_at(("course",)) or {}
    return compose("COURSE", example_of(course))


def example_of(node: schema.Schema, name: str = "") -> Any:
    """A value with every key below ``node``, taken from the examples."""
    properties = node.get("properties")
    if properties:
        return {below: example_of(found, below) for below, found in properties.items()}
    value = node["examples"][0]
    entries = node.get("items", {})
    if "properties" in entries and name == _first_list_of(entries):
        return [{**example_of(entries), **value[0]}, *value[1:]]
    return value


def _overview(course: schema.Schema) -> Iterator[str]:
    yield "| key | default | in one sentence |"
    yield "|---|---|---|"
    for name, node in course["properties"].items():
        yield f"| [`{name}`](#{name}) | {_default(name, node, course)} | {schema.first_sentence(node)} |"


def _sections(node: schema.Schema, path: tuple[str, ...]) -> Iterator[str]:
    for name, below in schema.keys(node).items():
        yield _section(name, below, node, (*path, name))
        yield from _sections(below, (*path, name))
        entries = below.get("items", {})
        if isinstance(entries, Mapping) and "properties" in entries and name == _first_list_of(entries):
            yield from _sections(dict(entries), (*path, f"{name}[]"))


def _first_list_of(entries: Mapping[str, Any]) -> str:
    """The first key whose list has such entries: lists of people are explained only once."""
    return next(path[-1] for path, node in schema.walk() if node.get("items") == entries)


def _section(name: str, node: schema.Schema, parent: schema.Schema, path: tuple[str, ...]) -> str:
    shown = ".".join(path)
    facts = [f"- value: {_kind(node)}", f"- default: {_default(name, node, parent)}"]
    example = f"```yaml\n{compose_one(name, node)}\n```"
    return "\n\n".join([f"{'#' * (1 + len(path))} {shown}", node["description"], "\n".join(facts), example])


def compose_one(name: str, node: schema.Schema) -> str:
    """The key with its first example, as typed into the file."""
    lines = compose("x", {name: node["examples"][0]}).splitlines()
    return "\n".join(line[2:] for line in lines[lines.index("course:") + 1 :] if not line.lstrip().startswith("#"))


def _kind(node: schema.Schema) -> str:
    """The type of a key, for the page."""
    if node.get("type") == "array":
        return f"a list; each is {_accepts(node.get('items', {}))}"
    return _accepts(node)


def _accepts(node: schema.Schema) -> str:
    return schema.accepts(node).removeprefix("must be ")


def _default(name: str, node: schema.Schema, parent: schema.Schema) -> str:
    if name in parent.get("required", []):
        return "**must be given**"
    value = node.get("default")
    if isinstance(value, Mapping):
        return "see below"
    if value in ([], {}, "", None):
        return "none"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"
