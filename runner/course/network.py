"""What people's programs may reach outside the server."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated

from pydantic import AfterValidator, Field, WithJsonSchema

from runner.course.facts import Facts

#: Networks that are too large for a meaningful list.
_BITS = {4: 8, 6: 16}
#: An example for error messages.
_OWN = "a network such as 10.20.0.0/16"
_LISTED = "a name such as index.example.org or *.example.edu, or a network such as 192.0.2.0/24"
_NAME = re.compile(r"(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]")
_ALIKE = r"^(\*\.)?[a-z0-9][a-z0-9.-]*[a-z0-9]$|^[0-9a-f.:]+(/[0-9]{1,3})?$"


def _network(value: str) -> str:
    try:
        found = ipaddress.ip_network(value)
    except ValueError as problem:
        raise ValueError(_OWN) from problem
    if found.prefixlen < _BITS[found.version]:
        raise ValueError(_OWN)
    return str(found)


def _place(value: str) -> str:
    if _NAME.fullmatch(value):
        return value
    try:
        return _network(value)
    except ValueError as problem:
        raise ValueError(_LISTED) from problem


def _schema(pattern: str, wanted: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern, "patternErrorMessage": f"must be {wanted}"})


Place = Annotated[
    str,
    AfterValidator(_place),
    _schema(_ALIKE, _LISTED),
]
OwnNetwork = Annotated[str, AfterValidator(_network), _schema(r"^[0-9a-f.:]+(/[0-9]{1,3})?$", _OWN)]


class Network(Facts):
    """What people's programs may reach outside the server. It applies to everybody who signs in, also to professors."""

    only: Annotated[list[Place] | None, Field(examples=[["index.example.org", "*.example.edu"]])] = None
    """Closes everything except this list: names of web sites, reached over https, and networks. ``*.example.edu`` means
    every name below that one, without the name itself; an empty list closes everything. Without this key the internet
    is open. It takes effect with ``apply`` and also ends open connections. A running server reaches the names in the
    list
    only after its next start."""
    campus: list[OwnNetwork] = Field(default=[], examples=[["10.20.0.0/16"]])
    """Private networks that are open, for example that of a mirror on the campus. All others are always closed, and so
    are mail and the cloud's address for its servers' secrets. It has no effect together with ``only``."""
