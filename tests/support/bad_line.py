"""A bad network between the runner and the cloud: a proxy that damages requests and answers, chosen by a seed."""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import socket
import struct
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from tests.support.serving import served

_RESET = struct.pack("ii", 1, 0)
#: What can happen to a request: before it reaches the cloud, or to its answer after it has taken effect.
REFUSED = {
    "limit": (429, {"Retry-After": "0"}, {"id": "too_many_requests", "message": "API Rate limit exceeded."}),
    "error": (500, {}, {"id": "server_error", "message": "Unexpected server-side error"}),
    "gateway": (502, {}, "<html>Bad Gateway</html>"),
    "no id": (503, {}, {"message": "later"}),
}
LOST = {
    "lost": (504, {}, "<html>Gateway Time-out</html>"),
    "page": (200, {}, "<html>Sign in to the campus network</html>"),
    "list": (200, {}, []),
    "empty": (200, {}, ""),
}
KINDS = (*REFUSED, *LOST, "cut before", "cut after", "truncated")


@dataclass
class BadLine:
    """``share`` of the requests fail, chosen by ``seed``; ``happened`` counts the failures by kind.

    ``log`` has the requests that reached the cloud: method, path, body, and the status that the cloud answered.
    """

    to: str
    seed: int
    share: float = 0.25
    happened: Counter[str] = field(default_factory=Counter)
    log: list[tuple[str, str, bytes, int]] = field(default_factory=list)
    seen: int = 0
    url: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)

    def next(self) -> str | None:
        """The kind of failure for the next request."""
        with self._lock:
            self.seen += 1
            kind = self._chance.choice(KINDS) if self._chance.random() < self.share else None
            if kind:
                self.happened[kind] += 1
            return kind

    def answered(self, method: str, path: str) -> list[int]:
        """The cloud's own answers to these requests; the runner may have got others."""
        return [
            status for said, where, _, status in self.log if (said, urlsplit(where).path.rstrip("/")) == (method, path)
        ]

    @contextlib.contextmanager
    def open(self) -> Iterator[BadLine]:
        """Serve on loopback for the duration of the block."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{server.server_address[1]}"
        with served(server):
            yield self


def _handler(line: BadLine) -> type[BaseHTTPRequestHandler]:
    target = urlsplit(line.to)

    class Handler(BaseHTTPRequestHandler):
        def _any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            kind = line.next()
            if kind == "cut before":
                return self._cut()
            if kind in REFUSED:
                return self._say(*REFUSED[kind])
            try:
                status, headers, answer = self._forward(body)
            except (OSError, http.client.HTTPException):
                # The cloud cut the connection or does not answer.
                return self._cut()
            if kind == "cut after":
                return self._cut()
            if kind in LOST:
                return self._say(*LOST[kind])
            if kind == "truncated":
                answer = answer[: len(answer) // 2]
            self._send(status, headers, answer)
            return None

        do_GET = do_POST = do_DELETE = do_PUT = _any

        def _forward(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
            connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=10)
            passed = ("authorization", "content-type", "user-agent")
            given = {key: value for key, value in self.headers.items() if key.lower() in passed}
            connection.request(self.command, self.path, body or None, given)
            answer = connection.getresponse()
            text = answer.read()
            connection.close()
            line.log.append((self.command, self.path, body, answer.status))
            back = ("Content-Type", "Retry-After", "ratelimit-reset")
            return answer.status, {key: value for key in back if (value := answer.headers.get(key))}, text

        def _say(self, status: int, headers: dict[str, str], body: object) -> None:
            text = body if isinstance(body, str) else json.dumps(body)
            self._send(status, {"Content-Type": "application/json", **headers}, text.encode())

        def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _cut(self) -> None:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.connection.close()
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Log nothing."""

        def handle(self) -> None:
            # The other side may close the connection too.
            with contextlib.suppress(OSError, ValueError):
                super().handle()

        def finish(self) -> None:
            with contextlib.suppress(OSError, ValueError):
                super().finish()

    return Handler
