"""A course that is up, as tests use it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import digitalocean

from runner import local
from runner.local.identity import Identity
from runner.local.network import recorded_subnet
from tests.support.sandbox import Sandbox

#: What makes up a server, besides what a class does on it.
_PARTS = {
    "packages": "dpkg-query -W -f '${Package} ${Version} ${db:Status-Abbrev}\\n'",
    "units": "cd /etc/systemd/system && find . -type f -exec sha256sum {} + | sort -k 2",
    "enabled": "systemctl list-unit-files --no-legend --no-pager --state=enabled,masked | sort",
    "environments": "readlink -f /opt/course/env /opt/jupyterhub/hub/current /opt/jupyterhub/proxy/current /opt/uv/uv",
    "programs": "cd /usr/local/sbin && sha256sum *",
}


@dataclass(frozen=True)
class Hub:
    """A course that is up: its id, the document that ``up`` printed, and the working copy it was run in.

    ``fresh`` is what it was made of before any test had used it, where somebody wants to know.
    """

    course: str
    document: dict[str, Any]
    sandbox: Sandbox
    fresh: dict[str, list[str]] = field(default_factory=dict, repr=False)

    def run(self, script: str, seconds: int = 120) -> str:
        """A shell script as root on the server."""
        return self.sandbox.on_server(self.course, script, seconds)

    def made_of(self) -> dict[str, list[str]]:
        """Lines for each part: packages with their versions, unit files, units, environments, programs."""
        return {part: self.run(script).splitlines() for part, script in _PARTS.items()}

    @contextlib.contextmanager
    def elsewhere(self, whose: str) -> Iterator[tuple[str, str]]:
        """While the block runs the local cloud's gateway has a domain of somebody else's; its name and address.

        Another domain than the hub's: to a browser that makes it another site.
        """
        # No two hubs of this host have the same, as names in /etc/hosts are all tests'.
        domain = f"{whose}-{self.document['hostname'].partition('.')[0]}.test"
        state = self.sandbox.project.state
        here, subnet = local.find(state), recorded_subnet(Identity.of(state))
        assert here is not None
        assert subnet is not None
        theirs = digitalocean.Domain(token=here.token, end_point=here.endpoint, name=domain, ip_address=subnet.gateway)
        theirs.create()
        try:
            yield domain, subnet.gateway
        finally:
            theirs.destroy()
