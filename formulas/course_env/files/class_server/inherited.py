"""Listens on the socket that systemd made for the server; Jupyter Server itself knows only sockets that it makes."""

import os
import socket

from jupyter_server.serverapp import ServerApp

from class_server.closing import let_the_proxy_close

# The first that systemd hands over (sd_listen_fds(3)).
FIRST = 3


def listen_on_inherited() -> str:
    """Have the server listen on the socket that this process was started with; return its path, empty without one."""
    meant = os.environ.pop("LISTEN_PID", "") == str(os.getpid()) and os.environ.pop("LISTEN_FDS", "") == "1"
    os.environ.pop("LISTEN_FDNAMES", None)
    if not meant:
        return ""
    listening = socket.socket(fileno=FIRST)
    listening.setblocking(False)
    # No kernel and no terminal has a use for it.
    listening.set_inheritable(False)

    def bind(app: ServerApp) -> bool:
        app.http_server.add_socket(listening)
        return True

    ServerApp._bind_http_server_unix = bind
    let_the_proxy_close()
    return str(listening.getsockname())
