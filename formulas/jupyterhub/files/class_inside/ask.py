"""HTTP over a Unix socket with only the standard library, for the small programs of the units."""

import http.client
import socket
from pathlib import Path


class UnixConnection(http.client.HTTPConnection):
    """An HTTP connection to a socket in the file system."""

    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect. Raises OSError if nobody listens there."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def ask(path: Path, method: str, address: str, headers: dict[str, str] | None = None, timeout: float = 5) -> int:
    """Return the status of one request. Raises OSError and http.client.HTTPException if there is no answer."""
    connection = UnixConnection(path, timeout)
    try:
        connection.request(method, address, headers=headers or {})
        return connection.getresponse().status
    finally:
        connection.close()
