"""Finds common YAML mistakes in the text itself: the right line, what is wrong, and what to type."""

from __future__ import annotations

import re
from collections.abc import Iterator

import yaml

#: Maximum size of a course file; a class of 500 people needs 40 kB.
MAX_CHARACTERS = 1_000_000
#: Maximum depth of brackets or indents; a course file needs five.
_DEPTH = 20

#: Characters that look like a space but are not one for YAML: no-break, wide, thin and zero-width spaces.
_ODD_SPACE = "\u00a0\u1680\u2000-\u200d\u202f\u205f\u2060\u3000\ufeff"
_KEY = r"\s*(?:- +)?[\w-]+"
#: A key with its value, quoted or not.
_ENTRY = re.compile(rf"(?P<key>{_KEY}):\s+(?P<value>\S.*)$")
_QUOTED = {
    '"': re.compile(r'"(?:[^"\\]|\\.)*"'),
    "'": re.compile(r"'(?:[^']|'')*'"),
}
_IN_QUOTES = 'put the value in quotes, as in title: "ENGR 114: Python"'


def before_reading(text: str) -> tuple[int, str] | None:
    """The first line that YAML would misread or reject with an unclear message, and what to do about it."""
    if len(text) > MAX_CHARACTERS:
        return 1, f"the file has {len(text) / 1e6:.1f} million characters, which no course file has; take another file"
    lines = text.removeprefix("\ufeff").splitlines()
    first = lines[0] if lines else ""
    if first.startswith("#!") and first.rstrip() != "#!yaml":
        return 1, f"{first.split()[0]}: a course file is plain YAML and no program; make the first line #!yaml"
    for number, line in enumerate(lines, 1):
        if wrong := _in_line(line):
            return number, wrong
    return None


def _in_line(line: str) -> str | None:  # noqa: PLR0911  # one mistake after the other
    if re.match(r"(<{7}|={7}|>{7}|\|{7})(\s|$)", line):
        return "a mark of a merge in git; keep one version, and remove the lines of <<<<<<<, ======= and >>>>>>>"
    if re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", line):
        return "a control character that nobody sees; delete the line and type it again"
    if line.lstrip().startswith("#"):
        return None
    if any(mark in line for mark in ("{{", "{%", "{#")):
        # pillar/hub.sls imports the file, and Salt renders what it imports, so braces in a title would be executed.
        return "Jinja is not for course files; write the value itself"
    if re.match(rf"[ ]*[{_ODD_SPACE}]", line) or re.match(rf"{_KEY}[{_ODD_SPACE}]*:[{_ODD_SPACE}]", line):
        return "a no-break or other odd space, as web pages and Word have; delete it and type a space"
    if re.match(r"\s*(- +)?[\w-]+：", line):
        return "a wide colon; type : and a space"
    if re.match(r"\s*(- +)?[“”„‘’][\w-]+[“”‘’]?\s*:", line):
        return "a curly quote, as word processors make; take the quotes off the key"
    return None


def in_events(text: str, loader: type[yaml.SafeLoader | yaml.CSafeLoader]) -> tuple[int, str] | None:
    """The first line with YAML that a course file must not use: anchors, aliases, tags, too many brackets.

    Raises yaml.YAMLError if it is not YAML.
    """
    depth = 0
    for event in yaml.parse(text, Loader=loader):
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _DEPTH:
                return line, f"more than {_DEPTH} brackets or indents within each other; take the brackets off"
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if isinstance(event, yaml.AliasEvent):
            return line, f"a value that begins with * is something else to YAML; {_IN_QUOTES}"
        if getattr(event, "anchor", None):
            return line, f"a value that begins with & is something else to YAML; {_IN_QUOTES}"
        if isinstance(event, yaml.NodeEvent) and (getattr(event, "tag", None) or "").startswith("!"):
            return line, f"a value that begins with ! is something else to YAML; {_IN_QUOTES}"
    return None


def explain(error: yaml.YAMLError, text: str) -> tuple[int, str]:  # noqa: PLR0911  # one kind after the other
    """The line that caused a YAML error, and what to type."""
    lines = text.splitlines()
    problem = str(getattr(error, "problem", None) or "")
    mark, context = getattr(error, "problem_mark", None), getattr(error, "context_mark", None)
    at = min(mark.line + 1 if mark else 1, max(len(lines), 1))
    if "'\\t'" in problem or (lines and re.match(r" *\t", lines[at - 1])):
        return at, "a tab; indent with spaces"
    if "escape" in problem or "hexdecimal" in problem:
        return at, "a \\ within double quotes; put the value in single quotes instead"
    if "document" in problem or "document" in str(getattr(error, "context", "")):
        return at, "a second document, which --- begins; a course file has one: remove the line"
    began = context.line + 1 if context else at
    for number in _likely(lines, min(began, at), at):
        if wrong := _in_entry(lines[number - 1]):
            return number, wrong
    if "unexpected end of stream" in problem or "quoted scalar" in str(getattr(error, "context", "")):
        return began, "a quote or bracket that begins here is not closed; close it"
    if "flow" in str(getattr(error, "context", "")):
        return began, "a bracket that opens here is not closed, or a comma is missing within it; look at the brackets"
    return _about_indentation(lines, at)


def _likely(lines: list[str], start: int, end: int) -> Iterator[int]:
    """Lines to check, the most likely first: YAML reports the mistake's line, the next, or the block's."""
    # The line before it, without the comments and empty lines between them.
    before = (number for number in range(end - 1, 0, -1) if _has_content(lines[number - 1]))
    near = [number for number in (end, next(before, 0), start) if 1 <= number <= len(lines)]
    # An open quote swallows lines up to the next quote; the mistake is in the first of them.
    opened = [number for number in range(1, end + 1) if number <= len(lines) and _is_open(lines[number - 1])]
    yield from dict.fromkeys([*opened[:1], *near])


def _has_content(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _is_open(line: str) -> bool:
    found = _ENTRY.match(line) or re.match(r"\s*- +(?P<value>\S.*)$", line)
    value = found["value"] if found else ""
    return value[:1] in _QUOTED and not _QUOTED[value[0]].match(value)


def _in_entry(line: str) -> str | None:  # noqa: PLR0911  # one mistake after the other
    """What is wrong with a line that YAML does not understand, or None."""
    if not _has_content(line):
        return None
    if _is_open(line):
        return "a quote that opens here is not closed; put the same quote at the end of the value"
    if re.match(rf"{_KEY}\s*=\s*\S", line):
        key = line.strip().lstrip("- ").partition("=")[0].strip()
        return f"= instead of a colon; write {key}: and the value"
    if re.match(rf"{_KEY}:[^\s/]", line):
        return "no space after the colon; type one"
    found = _ENTRY.match(line) or re.match(r"\s*- +(?P<value>\S.*)$", line)
    if not found:
        known = ":" in line or line.strip().startswith("-")
        return None if known else "no colon; write the key, a colon, a space, a value"
    value = found["value"]
    if value[0] in _QUOTED:
        rest = value[_QUOTED[value[0]].match(value).end() :]  # type: ignore[union-attr]
        if rest.strip() and not rest.lstrip().startswith("#"):
            other = "double" if value[0] == "'" else "single"
            return f"a {value[0]} within {value[0]}...{value[0]}; put the value in {other} quotes instead"
        return None
    if value[0] in "@`%!&*":
        return f"a value cannot begin with {value[0]}; {_IN_QUOTES}"
    if re.match(r"[\[{][^\]}]*[\]}]\s*[^\s#]", value):
        return f"text that begins with a bracket; {_IN_QUOTES}"
    if re.match(r"[^'\"{\[|>#][^#]*:(\s|$)", value):
        return f"a value with a colon in it; {_IN_QUOTES}"
    return None


def _about_indentation(lines: list[str], at: int) -> tuple[int, str]:
    here = lines[at - 1] if at <= len(lines) else ""
    number = next((one for one in range(at - 1, 0, -1) if _has_content(lines[one - 1])), 0)
    above = lines[number - 1] if number else ""
    deep, before = len(here) - len(here.lstrip()), len(above) - len(above.lstrip())
    if here.lstrip().startswith("- ") and re.search(r":\s*\[\s*\]\s*(#.*)?$", above):
        empty = above.strip().partition("#")[0].strip()
        return at, f"an entry below '{empty}'; take the [] away there, and leave the entries below it"
    if deep > before and re.search(r":\s+\S", above):
        return at, f"{_spaces(deep)} in front, but line {number} has {before}; begin both in the same column"
    if deep < before or deep > before:
        return at, (
            f"{_spaces(deep)} in front, which fits no line above (line {number} has {before}); keys of one level begin "
            "in the same column"
        )
    return at, "this line or the one above is no YAML; look at its colon, quotes, brackets and the spaces in front"


def _spaces(count: int) -> str:
    return f"{count or 'no'} space{'s' * (count != 1)}"


def in_number(text: str, value: object) -> str | None:
    """What is wrong with a number as it was typed: YAML reads some in base 8, 16 or 60."""
    if re.fullmatch(r"[-+]?(0|[1-9][0-9]*)(\.[0-9]*)?([eE][-+]?[0-9]+)?|[-+]?\.[0-9]+", text):
        return None
    shown = f"which YAML reads as {value}" if isinstance(value, int | float) else "which is no plain number to YAML"
    plain = text.lstrip("+").lstrip("0") or "0"
    meant = f"write {plain}" if plain.isdecimal() else "write a plain number"
    return f"{text}, {shown}; {meant}, or put it in quotes if it is text"


def after_value(rest: str) -> str | None:
    """What is wrong with the text after an unquoted value: a # cuts it off."""
    if re.match(r"\s+#(\S|\s?\d+\s*$)", rest):
        return f"all from # on is a comment to YAML and is cut off; {_IN_QUOTES}"
    return None
