"""Where the class's servers reach the hub's API: a socket that all of them may enter, so it gives nothing else.

No sign-in page, and no header is believed that says who asks: the kernel says it.
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

# Connections of one account at a time. A server uses two or three; the hub has room for a thousand in all.
MOST = 40
# Bytes. What servers send are a few lines.
BIGGEST = 1 << 20
# Seconds in which a request must be whole, and until an idle connection is closed.
WHOLE, IDLE = 20, 300


class Peer(NamedTuple):
    """Who is at the other end, where tornado has an address."""

    uid: int


class Door(HTTPServer):
    """Serves a tornado application to accounts of this machine, each with a few connections."""

    def initialize(self, *arguments: Any, **options: Any) -> None:
        """Take what HTTPServer takes."""
        super().initialize(*arguments, **options)
        self._open: Counter[int] = Counter()

    def handle_stream(self, stream: IOStream, _: Any) -> None:
        """Begin a connection, or close it when its account has many."""
        peer = Peer(uid_at(stream.socket))
        if self._open[peer.uid] >= MOST:
            stream.close()
            return
        self._open[peer.uid] += 1
        super().handle_stream(stream, peer)

    def on_close(self, server_conn: Any) -> None:
        """Count one less."""
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
    """Serve the hub's API, the addresses below ``prefix``, at a socket."""
    door = Door(
        RuleRouter([(rf"{prefix}api(?:/.*)?", application)]),
        xheaders=False,
        max_body_size=BIGGEST,
        body_timeout=WHOLE,
        idle_connection_timeout=IDLE,
    )
    # Its directory lets in whom it is for.
    door.add_socket(bind_unix_socket(str(path), mode=0o666, backlog=512))
    return door
