"""Who closes a connection at a Unix socket: the proxy, not who answers it.

The proxy wants each connection closed after the answer, and node writes an empty string after a request's body. At a
socket that the other side has closed already that fails, and the proxy tells a browser 503 of what was answered.
"""

import functools
import socket
from typing import Any


def let_the_proxy_close(connections: Any) -> None:
    """Have tornado's ``connections`` (the class HTTP1Connection) stay open at Unix sockets until the client closes."""
    before = connections._can_keep_alive

    @functools.wraps(before)
    def can_keep_alive(connection: Any, *arguments: Any) -> bool:
        at = getattr(connection.stream, "socket", None)
        if not connection.is_client and at is not None and at.family == socket.AF_UNIX:
            return True
        return bool(before(connection, *arguments))

    connections._can_keep_alive = can_keep_alive
