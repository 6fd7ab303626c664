"""What the runner and the server's formulas must agree on: ports, paths, accounts, units, from pillar/server.sls."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

#: The file with these values. It is always the one of this copy of coursehub, even if a verb works on another project.
FILE = Path(__file__).resolve().parents[1] / "pillar" / "server.sls"

_FACTS: Mapping[str, Any] = yaml.load(FILE.read_text(encoding="utf-8"), yaml.CSafeLoader)["server"]

#: TCP ports that are open to everybody.
PUBLIC_PORTS: tuple[int, ...] = tuple(_FACTS["ports"]["public"])
#: TCP ports that a part of coursehub uses, or once used, on the server's loopback address only.
INNER_PORTS: tuple[int, ...] = (_FACTS["ports"]["way_out"], _FACTS["ports"]["former_hub"])
#: Paths on the server, by purpose.
PATHS: Mapping[str, str] = _FACTS["paths"]
#: Below this path a hub serves the zips of ``handback``.
HANDBACK: str = _FACTS["app"]["handback"]
#: Accounts of services, by purpose.
ACCOUNTS: Mapping[str, str] = _FACTS["accounts"]
#: Unix groups: the group of everybody who signs in, then the group of each role.
GROUPS: tuple[str, ...] = (_FACTS["groups"]["everybody"], *_FACTS["groups"]["all_roles"])
#: Unix groups by purpose: the group of everybody, and one for each role of the course file.
GROUPS_OF: Mapping[str, str] = {"everybody": _FACTS["groups"]["everybody"], **_FACTS["groups"]["roles"]}
#: Prefix of a team's Unix group.
TEAM_PREFIX: str = _FACTS["groups"]["team_prefix"]
#: A certificate goes to the next server if it is valid for more days than this.
CARRIED_DAYS: int = _FACTS["certificate"]["carried_days"]
#: The part of a server's memory that all students together may use.
CLASS_MEMORY: float = float(_FACTS["memory"]["class"].rstrip("%")) / 100
#: A file system is full from this use in per cent, or below this free space in bytes.
FULL_PER_CENT, LEAST_FREE = (int(_FACTS["full_disk"][key]) for key in ("per_cent", "least"))
#: SSH host keys that every server knows from the start, by host.
GIT_HOSTS: Mapping[str, str] = _FACTS["git_hosts"]
#: The systemd units that make up a hub.
UNITS: tuple[str, ...] = tuple(_FACTS["units"])
