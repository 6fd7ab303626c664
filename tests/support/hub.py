"""A running course, for tests."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import digitalocean

from runner import local
from runner.local.identity import Identity, Subnet
from runner.local.network import connect, disconnect, recorded_subnet
from runner.local.store import FIRST_SLOT
from runner.session import connect as connect_to
from tests.support.sandbox import Sandbox

#: The parts of a server, without the data of a class.
_PARTS = {
    "packages": "dpkg-query -W -f '${Package} ${Version} ${db:Status-Abbrev}\\n'",
    "units": "cd /etc/systemd/system && find . -type f -exec sha256sum {} + | sort -k 2",
    "enabled": "systemctl list-unit-files --no-legend --no-pager --state=enabled,masked | sort",
    "environments": "readlink -f /opt/course/env /opt/jupyterhub/hub/current /opt/jupyterhub/proxy/current /opt/uv/uv",
    "programs": "cd /usr/local/sbin && sha256sum *",
}

#: No droplet has this id or uses the addresses of these slots.
_NO_DROPLET, _LAPTOPS_SLOT, _SPARE_SLOT = 0, FIRST_SLOT - 1, FIRST_SLOT - 2


@dataclass(frozen=True)
class Hub:
    """A running course: its id, the document that ``up`` printed, and its working copy.

    ``fresh`` lists its parts before any test used it, if needed.
    """

    course: str
    document: dict[str, Any]
    sandbox: Sandbox
    fresh: dict[str, list[str]] = field(default_factory=dict, repr=False)

    @classmethod
    def standing(cls, root: Path, course: str) -> Hub:
        """The hub of a running course in the working copy at ``root``. Raises CoursehubError if there is none."""
        session = connect_to(Sandbox(root).project, course, lambda _: None)
        server = session.server()
        document = {
            "course": course,
            "hostname": session.course.domain,
            "url": session.url,
            "ca_bundle": str(session.ca_bundle) if session.ca_bundle else None,
            "server": {"id": server.id, "ip": server.ip},
        }
        return cls(course, document, Sandbox(root))

    def run(self, script: str, seconds: int = 120) -> str:
        """Run a shell script as root on the server."""
        return self.sandbox.on_server(self.course, script, seconds)

    def made_of(self) -> dict[str, list[str]]:
        """Lines for each part: packages with their versions, unit files, units, environments, programs."""
        return {part: self.run(script).splitlines() for part, script in _PARTS.items()}

    @contextlib.contextmanager
    def laptop(self) -> Iterator[str]:
        """A person's computer on the server's network for the duration of the block; the name of its network namespace.

        Its addresses do not change when others on this host do; /etc/hosts is the host's.
        """
        identity, subnet = self._network()
        namespace = identity.netns(_NO_DROPLET)
        assert not Path("/run/netns", namespace).exists(), "there is one at a time"
        try:
            connect(identity, subnet, _NO_DROPLET, _LAPTOPS_SLOT)
            # The kernel's automatic IPv6 address would become valid a second later, in the middle of a browser's first
            # page.
            inside = ["ip", "-n", namespace]
            subprocess.run([*inside, "link", "set", "eth0", "addrgenmode", "none"], check=False)
            subprocess.run([*inside, "-6", "address", "flush", "dev", "eth0"], check=False)
            shown = subprocess.run([*inside, "address", "show", "eth0"], capture_output=True, check=True).stdout
            assert b"inet6" not in shown
            yield namespace
        finally:
            disconnect(identity, _NO_DROPLET, _LAPTOPS_SLOT)

    @contextlib.contextmanager
    def new_address(self) -> Iterator[None]:
        """Give this host another address for the duration of the block, as when another local cloud starts.

        A Chromium on the host itself would lose its requests at both ends of the block.
        """
        identity, subnet = self._network()
        change = f"{subnet.address(_SPARE_SLOT)}/32", "dev", identity.bridge
        subprocess.run(["ip", "address", "add", *change], check=True)
        try:
            yield
        finally:
            subprocess.run(["ip", "address", "del", *change], check=True)

    def bridge(self) -> str:
        """The host's network interface to which the local cloud's machines are connected."""
        return self._network()[0].bridge

    def _network(self) -> tuple[Identity, Subnet]:
        identity = Identity.of(self.sandbox.project.state)
        subnet = recorded_subnet(identity)
        assert subnet is not None
        return identity, subnet

    @contextlib.contextmanager
    def elsewhere(self, whose: str) -> Iterator[tuple[str, str]]:
        """Give the local cloud's gateway another domain for the duration of the block; return its name and address.

        It is not below the hub's domain, so browsers treat it as another site.
        """
        # Unique on this host, because all tests share /etc/hosts.
        domain = f"{whose}-{self.document['hostname'].partition('.')[0]}.test"
        here, (_, subnet) = local.find(self.sandbox.project.state), self._network()
        assert here is not None
        theirs = digitalocean.Domain(token=here.token, end_point=here.endpoint, name=domain, ip_address=subnet.gateway)
        theirs.create()
        try:
            yield domain, subnet.gateway
        finally:
            theirs.destroy()
