"""A YAML file with the line of each of its values."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from runner.errors import USAGE, CoursehubError

Location = tuple[str | int, ...]
#: PyYAML's safe loader, in C where there is one, as Salt's own: a tenth of the time for a class of 24.
LOADER: type[yaml.SafeLoader | yaml.CSafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
#: ``key: some words: more``, or ending in a colon, unquoted: to YAML a mapping where there can be none.
_COLON_IN_VALUE = re.compile(r"""\s*(- )?\s*[\w-]+:\s+[^'"{\[|>&*!#\s][^#]*:(\s|$)""")


class Source:
    """A YAML file with the line of each of its values.

    Raises CoursehubError (2) with ``file:line`` for what is not plain YAML or gives a key twice.
    """

    def __init__(self, path: Path, shown: str, text: str | None = None) -> None:
        """Read ``path``, or take ``text`` for what will stand there."""
        self.path = path
        self.shown = shown
        self.lines: dict[Location, int] = {(): 1}
        try:
            text = path.read_text(encoding="utf-8") if text is None else text
            self._refuse_jinja(text)
            self.data: Any = self._read(text)
        except UnicodeDecodeError as error:
            raise CoursehubError(f"{shown}:1: not UTF-8 text; save it as UTF-8", exit_code=USAGE) from error
        except yaml.YAMLError as error:
            raise self._yaml_error(error, text or "") from error
        except ValueError as error:
            # PyYAML takes 2026-02-30 for a date and then finds that there is none.
            raise CoursehubError(f"{shown}:1: {error}; put the value in quotes", exit_code=USAGE) from error

    def _read(self, text: str) -> Any:
        """The data, and the lines of it on the way."""
        try:
            loader = LOADER(text)
            node = loader.get_single_node()
        except yaml.YAMLError:
            # It says less plainly what is wrong.
            loader = yaml.SafeLoader(text)
            node = loader.get_single_node()
        if node is None:
            return None
        self._walk(node, ())
        return loader.construct_document(node)

    def _refuse_jinja(self, text: str) -> None:
        # pillar/hub.sls imports the file, and Salt renders what it imports: a title with braces would be executed.
        for number, line in enumerate(text.splitlines(), 1):
            if any(mark in line for mark in ("{{", "{%", "{#")):
                raise CoursehubError(
                    f"{self.shown}:{number}: Jinja is not for course files; write the value itself", exit_code=USAGE
                )

    def _yaml_error(self, error: yaml.YAMLError, text: str) -> CoursehubError:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        problem = getattr(error, "problem", None) or "cannot be read"
        advice = "look at the indentation, the quotes and the brackets there"
        if _COLON_IN_VALUE.match("".join(text.splitlines()[line - 1 : line])):
            problem, advice = "a value with a colon in it", 'put the value in quotes, as in title: "ENGR 114: Python"'
        if "'\\t'" in problem:
            advice = "indent with spaces, not with tabs"
        return CoursehubError(f"{self.shown}:{line}: not YAML: {problem}; {advice}", exit_code=USAGE)

    def _walk(self, node: yaml.Node, location: Location) -> None:
        self.lines.setdefault(location, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            seen: dict[str, int] = {}
            for key, value in node.value:
                line = key.start_mark.line + 1
                if key.value in seen:
                    raise CoursehubError(
                        f"{self.shown}:{line}: {key.value} stands twice (first in line {seen[key.value]}); remove one",
                        exit_code=USAGE,
                    )
                seen[key.value] = line
                self.lines[(*location, key.value)] = line
                self._walk(value, (*location, key.value))
        elif isinstance(node, yaml.SequenceNode):
            for index, value in enumerate(node.value):
                self._walk(value, (*location, index))

    def line(self, location: Location) -> int:
        """The line of the value at ``location``, or of the nearest thing around it."""
        while location not in self.lines:
            location = location[:-1]
        return self.lines[location]

    def at(self, *location: str | int) -> str:
        """``file:line`` of a value, for an error message."""
        return f"{self.shown}:{self.line(location)}"
