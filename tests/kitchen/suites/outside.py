"""A machine seen from outside: ports and HTTP answers, by address and with verification."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import time
from dataclasses import dataclass
from pathlib import Path

SECONDS = 10


def answers(address: str, port: int) -> bool:
    """Whether a TCP port accepts a connection."""
    with contextlib.suppress(OSError), socket.create_connection((address, port), 2):
        return True
    return False


def until_answers(address: str, port: int, seconds: float = SECONDS) -> bool:
    """The same, with a wait for a service that was just started."""
    deadline = time.monotonic() + seconds
    while not answers(address, port):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


@dataclass(frozen=True)
class Answer:
    """One HTTP answer; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: str


def trusting(authority: str | Path) -> ssl.SSLContext:
    """A context that trusts only this authority (PEM text or file)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if isinstance(authority, Path):
        context.load_verify_locations(cafile=str(authority))
    else:
        context.load_verify_locations(cadata=authority)
    return context


def ask(
    address: str,
    name: str,
    path: str = "/",
    *,
    method: str = "GET",
    body: bytes | None = None,
    announce: int | None = None,
    tls: ssl.SSLContext | None = None,
) -> Answer:
    """One request for ``name`` at ``address``: over HTTPS with ``tls``, otherwise HTTP.

    ``announce`` is the announced size of a body that is not sent.
    """
    raw = socket.create_connection((address, 443 if tls else 80), SECONDS)
    connection = http.client.HTTPConnection(name, timeout=SECONDS)
    connection.sock = tls.wrap_socket(raw, server_hostname=name) if tls else raw
    with contextlib.closing(connection):
        headers = {} if announce is None else {"Content-Length": str(announce)}
        connection.request(method, path, body=body, headers=headers)
        answer = connection.getresponse()
        got = {key.lower(): value for key, value in answer.getheaders()}
        return Answer(answer.status, got, answer.read().decode(errors="replace"))
