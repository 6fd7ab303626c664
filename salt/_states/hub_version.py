"""Keeps states from changing the hub's version behind ``coursehub upgrade``'s back.

A new JupyterHub may migrate its database, and then the old one cannot read it any more. ``upgrade`` tries that on a
copy first, and goes back by itself (docs/decisions/upgrade.md). While it switches, the file ``allowed`` exists.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from coursehub_uv import digest_of, link_target

#: Salt puts them into a state module when it loads one.
__opts__: dict[str, Any]
__salt__: dict[str, Callable[..., Any]]


def unchanged(
    name: str,
    requirements: str,
    link: str,
    database: str,
    allowed: str,
    went_back: str,
    python: str = "/usr/bin/python3",
) -> dict[str, Any]:
    """Fail if the states bring another version of the hub than the one that serves.

    requirements
        ``salt://`` address of the hub's lock.
    link
        Symlink to the environment that serves.
    database
        The hub's database. Without it the hub never served, and any version may be installed.
    allowed
        While this file exists, another version is welcome.
    went_back
        This file says that the version before was put back. Then no states may run, because they would bring the newer
        version again.
    """
    ret: dict[str, Any] = {"name": name, "changes": {}, "result": True, "comment": "the hub keeps its version"}
    serving = link_target(link)
    if serving is None or not Path(database).exists() or Path(allowed).exists():
        return ret
    lock = __salt__["cp.cache_file"](requirements)
    if not lock:
        return {**ret, "result": False, "comment": f"{requirements} is missing"}
    if Path(went_back).exists():
        return _refused(ret, "the version before was put back on this server, and these states are of another version")
    if digest_of(Path(python).resolve().name, [Path(lock).read_bytes()]) != serving.name:
        return _refused(ret, "these states bring another version of JupyterHub")
    return ret


def _refused(ret: dict[str, Any], why: str) -> dict[str, Any]:
    if __opts__["test"]:
        return {**ret, "result": None, "comment": f"{why}; only an upgrade changes it", "changes": {"hub": why}}
    return {**ret, "result": False, "comment": f"{why}; only an upgrade changes it"}
