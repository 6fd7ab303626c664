"""Small HTTP servers that answer beside a test."""

from __future__ import annotations

import contextlib
import socketserver
import threading
from collections.abc import Iterator


def in_background(server: socketserver.BaseServer) -> threading.Thread:
    """Serve until ``server.shutdown()``, which by default waits up to half a second."""
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    return thread


@contextlib.contextmanager
def served(server: socketserver.BaseServer) -> Iterator[None]:
    """Serve for the duration of the block."""
    thread = in_background(server)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)
