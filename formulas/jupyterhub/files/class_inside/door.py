"""The socket on which people's servers reach the hub's API. All of them can connect, so it serves nothing else.

It has no sign-in page, and it believes no header about the sender: the kernel says whose process connects.
"""

import socket
import struct
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from tornado.httpserver import HTTPServer
from tornado.iostream import IOStream
from tornado.netutil import bind_unix_socket
from tornado.routing import RuleRouter
from tornado.web import Application

# Concurrent connections of one account. A server uses two or three; the hub has room for a thousand in total.
MOST = 40
# Bytes of a request. Servers send a few lines.
BIGGEST = 1 << 20
# Bytes of a request's headers.
HEADERS = 16 << 10
# Seconds within which a request must be complete, and until an idle connection is closed.
WHOLE, IDLE = 20, 300


class Peer(NamedTuple):
    """The account at the other end; tornado has the client's address there."""

    uid: int


class Door(HTTPServer):
    """Serve a tornado application to accounts of this machine, with a few connections for each."""

    def initialize(self, *arguments: Any, **options: Any) -> None:
        """Accept the same arguments as HTTPServer."""
        super().initialize(*arguments, **options)
        self._open: Counter[int] = Counter()

    def handle_stream(self, stream: IOStream, _: Any) -> None:
        """Accept a connection, or close it if its account has too many."""
        peer = Peer(uid_at(stream.socket))
        if self._open[peer.uid] >= MOST:
            stream.close()
            return
        self._open[peer.uid] += 1
        super().handle_stream(stream, peer)

    def on_close(self, server_conn: Any) -> None:
        """Count one connection less."""
        super().on_close(server_conn)
        peer = server_conn.context.address
        self._open[peer.uid] -= 1
        if not self._open[peer.uid]:
            del self._open[peer.uid]


def uid_at(connection: socket.socket) -> int:
    """Return the account (uid) that opened a connection to a Unix socket."""
    size = struct.calcsize("3i")
    _, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return int(uid)


def open_door(application: Application, path: Path, prefix: str) -> Door:
    """Serve the hub's API, the addresses below ``prefix``, on a socket."""
    door = Door(
        RuleRouter([(rf"{prefix}api(?:/.*)?", application)]),
        xheaders=False,
        max_body_size=BIGGEST,
        max_header_size=HEADERS,
        body_timeout=WHOLE,
        idle_connection_timeout=IDLE,
    )
    # The permissions of its directory decide who can connect.
    door.add_socket(bind_unix_socket(str(path), mode=0o666, backlog=512))
    return door
