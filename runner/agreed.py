"""What the runner and the server's formulas must agree on: ports, paths, accounts, units, from pillar/server.sls."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

#: The file that says it. It belongs to this copy of coursehub, whichever project a verb works on.
FILE = Path(__file__).resolve().parents[1] / "pillar" / "server.sls"

_FACTS: Mapping[str, Any] = yaml.load(FILE.read_text(encoding="utf-8"), yaml.CSafeLoader)["server"]

#: TCP ports that are open to everybody.
PUBLIC_PORTS: tuple[int, ...] = tuple(_FACTS["ports"]["public"])
#: TCP ports on which a part of ours answers, or once did, on the server itself alone.
INNER_PORTS: tuple[int, ...] = (_FACTS["ports"]["way_out"], _FACTS["ports"]["former_hub"])
#: By what each is for.
PATHS: Mapping[str, str] = _FACTS["paths"]
#: Accounts of services, by what each is for.
ACCOUNTS: Mapping[str, str] = _FACTS["accounts"]
#: The Unix group of everybody who signs in, and of each role.
GROUPS: tuple[str, ...] = (_FACTS["groups"]["everybody"], *_FACTS["groups"]["all_roles"])
#: How the Unix group of a team begins.
TEAM_PREFIX: str = _FACTS["groups"]["team_prefix"]
#: SSH host keys that a server knows already, by host.
GIT_HOSTS: Mapping[str, str] = _FACTS["git_hosts"]
#: The systemd units that make up a hub.
UNITS: tuple[str, ...] = tuple(_FACTS["units"])
