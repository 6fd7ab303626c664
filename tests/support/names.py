"""DNS for one test: names, and the well-known ports behind them, lead to servers on loopback.

Stands in for the resolver of this computer alone: what asks, connects and verifies afterwards is the real thing.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest


@dataclass
class Names:
    """``addresses`` by name; ``ports`` maps a port that a client asks for to the one that a test's server has.

    Other ports lead to ``closed``, or where that is None stay what they are. ``*.NAME`` is every name one label below
    NAME.
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
