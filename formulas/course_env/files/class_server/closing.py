"""Let the proxy close connections to a person's server, not the server.

The proxy asks to close each connection after the answer, and node writes an empty string after a request's body. If the
server has already closed the Unix socket, this write fails, and the proxy sends 503 instead of the answer. The hub, in
its own environment, has the same code (formula jupyterhub, class_inside/closing.py).
"""

from typing import Any

from tornado.http1connection import HTTP1Connection


def let_the_proxy_close() -> None:
    """Keep incoming connections open until the other side closes them."""
    before = HTTP1Connection._can_keep_alive

    def can_keep_alive(connection: HTTP1Connection, *arguments: Any) -> bool:
        return not connection.is_client or bool(before(connection, *arguments))

    HTTP1Connection._can_keep_alive = can_keep_alive  # type: ignore[method-assign,assignment]
