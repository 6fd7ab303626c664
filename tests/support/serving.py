"""Small HTTP servers that answer beside a test."""

from __future__ import annotations

import socketserver
import threading


def in_background(server: socketserver.BaseServer) -> threading.Thread:
    """Have ``server`` answer until its ``shutdown()``, which waits for a look that is half a second away by default."""
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    return thread
