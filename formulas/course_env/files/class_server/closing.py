"""Who closes a connection to a person's server: the proxy, not the server.

The proxy wants each connection closed after the answer, and node writes an empty string after a request's body. On a
Unix socket that the server has closed by then this fails, and the proxy tells the browser 503 of what was answered. The
hub, in an environment of its own, does the same (formula jupyterhub, class_inside/closing.py).
"""

from typing import Any

from tornado.http1connection import HTTP1Connection


def let_the_proxy_close() -> None:
    """Have connections that came in stay open until the other side closes them."""
    before = HTTP1Connection._can_keep_alive

    def can_keep_alive(connection: HTTP1Connection, *arguments: Any) -> bool:
        return not connection.is_client or bool(before(connection, *arguments))

    HTTP1Connection._can_keep_alive = can_keep_alive  # type: ignore[method-assign,assignment]
