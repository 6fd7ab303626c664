"""A Debian mirror with faults: it passes on the machine's own mirror and damages packages."""

from __future__ import annotations

import contextlib
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

from tests.support.serving import served

#: ``gone``: the index is there, its packages are 404. ``truncated``: each package ends half-way.
Fault = Literal["gone", "truncated"]


@dataclass
class Mirror:
    """``/<host>/<path>`` of the real mirror at ``address``; ``asked`` counts the requests for each package."""

    address: str
    fault: Fault
    asked: Counter[str] = field(default_factory=Counter)


@contextlib.contextmanager
def broken_mirror(gateway: str, fault: Fault) -> Iterator[Mirror]:
    """Serve on the gateway of a local cloud, where only its machines can reach it."""
    server = ThreadingHTTPServer((gateway, 0), _Relay)
    mirror = Mirror(f"{gateway}:{server.server_port}", fault)
    server.mirror = mirror  # type: ignore[attr-defined]
    with served(server):
        yield mirror


class _Relay(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        mirror: Mirror = self.server.mirror  # type: ignore[attr-defined]
        package = self.path.endswith(".deb")
        if package:
            mirror.asked[self.path.rsplit("/", 1)[-1]] += 1
        if package and mirror.fault == "gone":
            self._answer(404, b"")
            return
        # Without Range and If-Modified-Since, so that a truncated file is downloaded again completely.
        request = urllib.request.Request(f"http:/{self.path}")
        try:
            with urllib.request.urlopen(request, timeout=60) as found:
                body = found.read()
        except urllib.error.HTTPError as error:
            self._answer(error.code, b"")
            return
        self._answer(200, body, sent=len(body) // 2 if package else len(body))

    def _answer(self, status: int, body: bytes, sent: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(body[:sent])
        if sent is not None and sent < len(body):
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing; tests read ``asked``."""
