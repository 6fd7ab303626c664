"""End the connections of closed laptops: nobody closes them, so they and their memory would stay with the server."""

from typing import Any

# Seconds between two pings, and within which the browser must answer one.
PING = 60


def end_abandoned(config: Any, seconds: int = PING) -> None:
    """Ping every websocket, and close one that does not answer. Jupyter itself does so only for kernels and terminals.

    Lab has one more open in each tab, for events.
    """
    config.ServerApp.websocket_ping_interval = seconds
    config.ServerApp.websocket_ping_timeout = seconds
