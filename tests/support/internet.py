"""The internet as a hub's machine sees it: a public address with names and a web site, on this host.

So no test needs a foreign host, and attacks stay on this computer.
"""

from __future__ import annotations

import contextlib
import http.server
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import digitalocean

from runner import local
from tests.support.authority import Authority
from tests.support.hub import Hub
from tests.support.serving import in_background


@dataclass(frozen=True)
class Internet:
    """A web site under two domains; ``www`` is a name below the first, and all three have the same ``address``."""

    address: str
    domain: str
    other: str

    @property
    def www(self) -> str:
        return f"www.{self.domain}"


class _Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Log nothing."""


def names(hub: Hub) -> Internet:
    """Names and address of this hub's internet. Hubs that run at the same time have different ones."""
    label = str(hub.document["hostname"]).partition(".")[0]
    # From a documentation network (RFC 5737): no machine uses it, and no firewall counts it as private.
    address = f"203.0.113.{1 + crc32(label.encode()) % 254}"
    return Internet(address, f"web-{label}.test", f"other-{label}.test")


@contextlib.contextmanager
def internet(hub: Hub, directory: Path) -> Iterator[Internet]:
    """Serve the internet for the duration of the block; ``directory`` gets its certificate."""
    found = names(hub)
    cloud = local.find(hub.sandbox.project.state)
    assert cloud is not None, "only a hub of the local cloud has one"
    with contextlib.ExitStack() as stack:
        place = f"{found.address}/32", "dev", hub.bridge()
        subprocess.run(["ip", "address", "add", *place], check=True)
        stack.callback(subprocess.run, ["ip", "address", "del", *place], check=True)

        site = http.server.ThreadingHTTPServer((found.address, 443), _Page)
        stack.callback(site.server_close)
        context = Authority(directory).server_context(found.domain, found.www, found.other)
        # The handshake happens in the connection's thread, so that a silent connection does not block others.
        site.socket = context.wrap_socket(site.socket, server_side=True, do_handshake_on_connect=False)
        in_background(site)
        stack.callback(site.shutdown)

        for name in (found.domain, found.other):
            domain = digitalocean.Domain(
                token=cloud.token, end_point=cloud.endpoint, name=name, ip_address=found.address
            )
            domain.create()
            stack.callback(domain.destroy)
            domain.create_new_domain_record(type="A", name="*", data=found.address)
        yield found
