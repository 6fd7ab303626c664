"""DNS for one test: names, and the well-known ports behind them, lead to servers on loopback.

Only this computer's resolver is replaced; everything else is real.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest


@dataclass
class Names:
    """``addresses`` by name; ``ports`` maps a requested port to the port of a test's server.

    Other ports lead to ``closed``; if that is None they are not changed. ``*.NAME`` is every name one label below NAME.
    """

    addresses: dict[str, str] = field(default_factory=dict)
    ports: dict[int, int] = field(default_factory=dict)
    closed: int | None = None
    _true: Callable[..., Any] = socket.getaddrinfo

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(socket, "getaddrinfo", self._resolve)

    def _resolve(self, host: Any, port: Any, *arguments: Any, **options: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else str(host)
        above = name.partition(".")[2]
        known = self.addresses.get(name, self.addresses.get(f"*.{above}"))
        address = name if name in self.addresses.values() else known
        if address and port:
            return self._true(address, self.ports.get(port, self.closed or port), *arguments, **options)
        if name.endswith(".test"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return self._true(host, port, *arguments, **options)
