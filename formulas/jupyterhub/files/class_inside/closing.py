"""Let the proxy close connections on Unix sockets, not the server that answers.

The proxy asks to close each connection after the answer, and node writes an empty string after a request's body. If the
other side has already closed the socket, this write fails, and the proxy sends 503 instead of the answer.
"""

import functools
import socket
from typing import Any


def let_the_proxy_close(connections: Any) -> None:
    """Make tornado's ``connections`` (the class HTTP1Connection) stay open on Unix sockets until the client closes."""
    before = connections._can_keep_alive

    @functools.wraps(before)
    def can_keep_alive(connection: Any, *arguments: Any) -> bool:
        at = getattr(connection.stream, "socket", None)
        if not connection.is_client and at is not None and at.family == socket.AF_UNIX:
            return True
        return bool(before(connection, *arguments))

    connections._can_keep_alive = can_keep_alive
