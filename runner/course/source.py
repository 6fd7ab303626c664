"""A YAML file with the line of each of its values."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import yaml

from runner.course import mistakes
from runner.errors import USAGE, CoursehubError

Location = tuple[str | int, ...]
#: PyYAML's safe loader, in C if available, as Salt uses it: it takes a tenth of the time for a class of 24.
LOADER: type[yaml.SafeLoader | yaml.CSafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Source:
    """A YAML file with the line of each of its values.

    Raises CoursehubError (2) with ``file:line`` for invalid YAML and for a repeated key.
    """

    def __init__(self, path: Path, shown: str, text: str | None = None, *, aliases: bool = False) -> None:
        """Read ``path``, or parse ``text`` as its future content.

        ``aliases`` allows anchors, aliases and tags, for files that programmers write.
        """
        self.path = path
        self.shown = shown
        self.lines: dict[Location, int] = {(): 1}
        try:
            text = path.read_text(encoding="utf-8") if text is None else text
            self._refuse(mistakes.before_reading(text))
            if not aliases:
                self._refuse(mistakes.in_events(text, LOADER))
            self.text = text
            self._rows = text.splitlines()
            self.data: Any = self._read(text)
        except UnicodeDecodeError as error:
            line = error.object.count(b"\n", 0, error.start) + 1
            raise CoursehubError(
                f"{shown}:{line}: a letter that is not UTF-8; save the file as UTF-8", exit_code=USAGE
            ) from error
        except yaml.YAMLError as error:
            number, what = mistakes.explain(error, text or "")
            raise CoursehubError(f"{shown}:{number}: {what}", exit_code=USAGE) from error
        except ValueError as error:
            # PyYAML parses 2026-02-30 as a date and then finds that it does not exist.
            raise CoursehubError(f"{shown}:1: {error}; put the value in quotes", exit_code=USAGE) from error

    def _read(self, text: str) -> Any:
        """The data; the lines are recorded on the way."""
        loader = LOADER(text)
        node = loader.get_single_node()
        if node is None:
            return None
        self._walk(node, (), loader)
        return loader.construct_document(node)

    def _refuse(self, found: tuple[int, str] | None) -> None:
        if found:
            raise CoursehubError(f"{self.shown}:{found[0]}: {found[1]}", exit_code=USAGE)

    def _walk(self, node: yaml.Node, location: Location, loader: Any) -> None:
        self.lines.setdefault(location, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            seen: dict[str, int] = {}
            for key, value in node.value:
                line = key.start_mark.line + 1
                if key.value in seen:
                    raise CoursehubError(
                        f"{self.shown}:{line}: {key.value} is there twice (first in line {seen[key.value]}); "
                        "remove one",
                        exit_code=USAGE,
                    )
                seen[key.value] = line
                self.lines[(*location, key.value)] = line
                self._needs_value(node, key, value)
                self._walk(value, (*location, key.value), loader)
        elif isinstance(node, yaml.SequenceNode):
            for index, value in enumerate(node.value):
                self._walk(value, (*location, index), loader)
        elif isinstance(node, yaml.ScalarNode) and not node.style:
            self._look_at_plain(node, loader)

    def _needs_value(self, mapping: yaml.MappingNode, key: yaml.Node, value: yaml.Node) -> None:
        """In braces a comma starts a new key: ``{name: Turing, Alan}`` has the key Alan."""
        bare = isinstance(value, yaml.ScalarNode) and not value.style and value.value == ""
        if mapping.flow_style and bare:
            self._refuse(
                (
                    key.start_mark.line + 1,
                    f"{key.value!r} has no colon and no value; a text with a comma in it goes in quotes, as in "
                    'name: "Turing, Alan"',
                )
            )

    def _look_at_plain(self, node: yaml.ScalarNode, loader: Any) -> None:
        """Refuse a plain value that YAML reads differently than it was meant."""
        line = node.start_mark.line + 1
        if node.tag.endswith((":int", ":float")):
            with contextlib.suppress(ValueError):
                wrong = mistakes.in_number(node.value, loader.construct_object(node))
                self._refuse((line, wrong) if wrong else None)
        elif node.tag.endswith(":timestamp"):
            try:
                loader.construct_object(node)
            except ValueError:
                self._refuse((line, f"{node.value} looks like a date and is none; put the value in quotes"))
        elif node.tag.endswith((":str", ":null")):
            end = node.end_mark.line
            rest = self._rows[end][node.end_mark.column :] if end < len(self._rows) else ""
            wrong = mistakes.after_value(rest if node.value else f" {rest.lstrip()}")
            self._refuse((line, wrong) if wrong else None)

    def line(self, location: Location) -> int:
        """The line of the value at ``location``, or of the nearest enclosing value."""
        while location not in self.lines:
            location = location[:-1]
        return self.lines[location]

    def at(self, *location: str | int) -> str:
        """``file:line`` of a value, for an error message."""
        return f"{self.shown}:{self.line(location)}"
