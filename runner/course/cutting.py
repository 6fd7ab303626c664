"""Removes the people from a course file and leaves everything else as it was typed."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from runner.course.people import People
from runner.course.source import Source
from runner.errors import USAGE, CoursehubError
from runner.files import write_whole


def without_people(read: Source, people: People) -> str:
    """The course file's text without ``people:`` and its comments; everything else is unchanged.

    Raises CoursehubError (2) with the line if the rest would change.
    """
    lines = read.path.read_bytes().decode("utf-8").splitlines(keepends=True)
    key, value = _people_nodes("".join(lines))
    depth = key.start_mark.column
    names = [person.name.casefold() for person in people.everyone()]

    def tells(line: str) -> bool:
        return "account:" in line or any(name in line.casefold() for name in names)

    first, last = key.start_mark.line, _last_line(value) + 1
    while (
        first and _is_comment(lines[first - 1]) and (_indentation(lines[first - 1]) == depth or tells(lines[first - 1]))
    ):
        first -= 1
    last = _end_of_comments(lines, last, depth, tells)
    before, after = lines[:first], lines[last:]
    while after and before and not before[-1].strip() and not after[0].strip():
        after.pop(0)
    while not after and before and not before[-1].strip():
        before.pop()
    text = "".join([*before, *after])
    _needs_same_rest(read, text)
    return text


def _end_of_comments(lines: list[str], start: int, depth: int, tells: Callable[[str], bool]) -> int:
    """Where the text after the people begins.

    Comments on the people are removed; one directly above the next key is kept.
    """
    end, run = start, True
    for number in range(start, len(lines)):
        if not lines[number].strip():
            end, run = (number if run else end), False
        elif not _is_comment(lines[number]):
            return end
        elif (
            tells(lines[number]) or _indentation(lines[number]) > depth or (run and _indentation(lines[number]) < depth)
        ):
            end = number + 1
    return len(lines) if run else end


def _people_nodes(text: str) -> tuple[yaml.Node, yaml.Node]:
    root: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    course = next(value for key, value in root.value if key.value == "course")
    return next((key, value) for key, value in course.value if key.value == "people")


def _last_line(node: yaml.Node) -> int:
    # The end mark of a YAML block is the start of the next key, after all comments in between.
    while isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        node = node.value[-1][1] if isinstance(node, yaml.MappingNode) else node.value[-1]
    line: int = node.end_mark.line
    return line - 1 if node.end_mark.column == 0 and line > node.start_mark.line else line


def _needs_same_rest(read: Source, text: str) -> None:
    """Refuse a text that is not the file without its people, for example if they share a line with something else."""
    wanted = {**read.data, "course": {key: value for key, value in read.data["course"].items() if key != "people"}}
    try:
        same = Source(read.path, read.shown, text).data == wanted
    except CoursehubError:
        same = False
    if not same:
        raise CoursehubError(
            f"{read.at('course', 'people')}: the people cannot be removed without changing the text around them; put "
            "people: and what belongs to it on lines of their own",
            exit_code=USAGE,
        )


def replace_text(path: Path, text: str) -> None:
    """Replace a file of the repository atomically; its mode is kept."""
    write_whole(path, text, stat.S_IMODE(path.stat().st_mode))


def _is_comment(line: str) -> bool:
    return line.lstrip().startswith("#")


def _indentation(line: str) -> int:
    return len(line) - len(line.lstrip(" "))
