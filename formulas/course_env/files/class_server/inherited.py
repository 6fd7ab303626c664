"""Listen on the socket that systemd made for the server; Jupyter Server itself only uses sockets that it makes."""

import os
import socket

from jupyter_server.serverapp import ServerApp

from class_server.closing import let_the_proxy_close

# The first file descriptor that systemd passes (sd_listen_fds(3)).
FIRST = 3


def listen_on_inherited() -> str:
    """Make the server listen on the socket that systemd passed to it; return its path, empty if there is none."""
    meant = os.environ.pop("LISTEN_PID", "") == str(os.getpid()) and os.environ.pop("LISTEN_FDS", "") == "1"
    os.environ.pop("LISTEN_FDNAMES", None)
    if not meant:
        return ""
    listening = socket.socket(fileno=FIRST)
    listening.setblocking(False)
    # Kernels and terminals must not inherit it.
    listening.set_inheritable(False)

    def bind(app: ServerApp) -> bool:
        app.http_server.add_socket(listening)
        return True

    ServerApp._bind_http_server_unix = bind
    let_the_proxy_close()
    return str(listening.getsockname())
