"""The base of all typed models of the pillar, and value types that several keys use."""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import datetime
import difflib
import functools
import inspect
import itertools
import re
import zoneinfo
from collections.abc import Callable, Iterator
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, GetJsonSchemaHandler, WithJsonSchema
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema


class Facts(BaseModel):
    """Nothing unknown, nothing changed after reading. The text below a key is its description in the schema.

    An error quotes no value: it may be somebody's name.
    """

    # pydantic's use_attribute_docstrings would read the source of all models each time a verb starts, although only the
    # schema needs the texts.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        made = handler(core_schema)
        properties = handler.resolve_ref_schema(made).get("properties", {})
        for model in reversed(cls.__mro__):
            if issubclass(model, Facts):
                for key, text in _texts_below_keys(model):
                    properties[key]["description"] = text
        return made


@dataclasses.dataclass(frozen=True)
class Reaches:
    """For a key of the course file: whom a change reaches, and when. ``plan`` prints it."""

    whom: str


def _texts_below_keys(model: type[Facts]) -> Iterator[tuple[str, str]]:
    """Each key of a model with the text below it in the source; nothing if there is no source."""
    try:
        source = ast.parse(inspect.getsource(model))
    except OSError:
        return
    (body,) = (node.body for node in source.body if isinstance(node, ast.ClassDef))
    for key, text in itertools.pairwise(body):
        match key, text:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(said))):
                yield name, said


def text_like(pattern: str, wanted: str) -> tuple[AfterValidator, WithJsonSchema]:
    """Constraints for a ``str`` that must match ``pattern`` completely; ``wanted`` is the error text.

    VS Code's YAML and JSON checkers show ``patternErrorMessage``.
    """
    matches = re.compile(pattern)

    def check(value: str) -> str:
        # fullmatch, because "$" alone would accept a line break at the end.
        if not matches.fullmatch(value):
            raise ValueError(wanted)
        return value

    return AfterValidator(check), WithJsonSchema(
        {"type": "string", "pattern": pattern, "patternErrorMessage": f"must be {wanted}"}
    )


def none_of(reserved: frozenset[str], message: str) -> Callable[[str], str]:
    """A validator that refuses the words of ``reserved`` with ``message``."""

    def check(value: str) -> str:
        if value in reserved:
            raise ValueError(message)
        return value

    return check


#: Cached: it reads all files of the system's time zones.
_zones = functools.cache(zoneinfo.available_timezones)


def _timezone(value: str) -> str:
    known = _zones()
    if value not in known:
        # For an abbreviation such as PST, the nearest match would be meaningless.
        near = difflib.get_close_matches(value, known, n=1) if len(value) > 4 else []
        hint = f"did you mean {near[0]}?" if near else "write it as Continent/City, such as America/Los_Angeles"
        raise ValueError(f"not a time zone; {hint}")
    return value


def _day(value: object) -> object:
    """A date as YAML parses it, or as text in quotes."""
    if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        return value
    with contextlib.suppress(ValueError):
        if isinstance(value, str):
            return datetime.date.fromisoformat(value)
    raise ValueError("must be a day such as 2026-09-21 (year, month, day)")


Day = Annotated[
    datetime.date,
    BeforeValidator(_day),
    WithJsonSchema({"type": "string", "format": "date", "patternErrorMessage": "must be a day such as 2026-09-21"}),
]
#: RFC 1123 labels; at least two, because no certificate authority accepts a bare name.
Hostname = Annotated[
    str,
    *text_like(
        r"^(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]$",
        "a full host name such as engr114.example.edu (small letters, no https://, no path)",
    ),
]


def without_www(value: str) -> str:
    """A host name without a leading www. Raises ValueError for one that has it."""
    if value.startswith("www."):
        raise ValueError(f"write {value.removeprefix('www.')}; the hub answers to www. before it too (key www)")
    return value


Timezone = Annotated[
    str,
    *text_like(r"^[A-Za-z_]+(/[A-Za-z0-9_+-]+)*$", "a time zone such as America/Los_Angeles"),
    AfterValidator(_timezone),
]
Requirement = Annotated[
    str,
    *text_like(
        r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?(\[[A-Za-z0-9._,\s-]+\])?\s*"
        r"(([<>=!~]=?|===)\s*[A-Za-z0-9.*+!_-]+(\s*,\s*([<>=!~]=?|===)\s*[A-Za-z0-9.*+!_-]+)*)?$",
        "a package with an optional version, such as numpy or 'numpy>=2,<3'",
    ),
]
#: Debian policy 5.6.1.
DebianPackage = Annotated[
    str, *text_like(r"^[a-z0-9][a-z0-9+.-]{1,99}$", "the name of a Debian package, such as graphviz")
]
Module = Annotated[
    str,
    *text_like(
        r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$",
        "a module as Python's import takes it, such as numpy or matplotlib.pyplot",
    ),
]
_UNITS = {"K": 1024, "M": 1024**2, "G": 1024**3}


def bytes_of(amount: str) -> int:
    """An Amount in bytes."""
    return int(amount[:-1]) * _UNITS[amount[-1]]


def between(low: str, high: str, why: str) -> Callable[[str], str]:
    """A validator for an Amount between ``low`` and ``high``; ``why`` is shown in the error."""

    def check(value: str) -> str:
        if not bytes_of(low) <= bytes_of(value) <= bytes_of(high):
            raise ValueError(f"must be an amount from {low} to {high}: {why}")
        return value

    return check


def _straight(value: str) -> str:
    if len(value) > 1 and value[0] in "“”„‟‘’‚‛" and value[-1] in "“”„‟‘’‚‛":
        raise ValueError('curly quotes around it would be shown to everybody; type straight ones: "..."')
    return value


#: An amount of memory or disk that systemd, nginx and SystemdSpawner all accept: 512M, 2G.
Amount = Annotated[str, *text_like(r"^[1-9][0-9]{0,9}[KMG]$", "an amount such as 512M or 2G")]
Text = Annotated[
    str,
    *text_like(r"^(?=.*\S)[^\x00-\x1f\x7f]{1,200}$", "one line of text, 1 to 200 characters, in quotes"),
    AfterValidator(_straight),
]
#: Text with more than one line: an announcement.
Paragraph = Annotated[
    str, *text_like(r"^(?=[\s\S]*\S)[^\x00-\x09\x0b-\x1f\x7f]{1,1000}$", "text of 1 to 1000 characters, without tabs")
]
#: SVG is not allowed: its scripts would run with the hub's origin.
Picture = Annotated[
    str,
    *text_like(
        r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}\.(png|jpg|jpeg|webp|gif)$",
        "the name of a picture in pillar/files/logos/ that ends in .png, .jpg, .webp or .gif",
    ),
]
Email = Annotated[
    str, *text_like(r"^[^@\s<>,;]+@[^@\s<>,;]+\.[^@\s<>,;]+$", "an email address such as professor@example.edu")
]
#: The cloud's name of a size or a region.
Slug = Annotated[str, *text_like(r"^[a-z0-9]+(-[a-z0-9]+)*$", "one of the cloud's names, such as s-4vcpu-8gb or sfo3")]
ClassTime = Annotated[
    str,
    *text_like(r"^(Mon|Tue|Wed|Thu|Fri|Sat|Sun) ([01]?[0-9]|2[0-3]):[0-5][0-9]$", "a day and a time such as Mon 09:00"),
]
#: From five minutes to a week.
MINUTES = range(5, 10081)
Minutes = Annotated[int, Field(ge=MINUTES.start, le=MINUTES.stop - 1)]
