"""Every TCP port of the server from outside, by plain connections."""

from __future__ import annotations

import errno
import resource
import selectors
import socket
import time
from collections.abc import Iterable

from runner.audit.goals import Finding, Measure
from runner.audit.subject import Subject

WANTED = (22, 80, 443)
ALL = range(1, 65536)
#: A port that says nothing this long is taken for closed; those on which the server listens are asked again, longer.
SECONDS, AGAIN_SECONDS = 1.0, 5.0
#: Connections under way at once, where this computer allows as many open files.
AT_ONCE = 1000
_LISTENING = "ss -Hltn | awk '{print $4}' | grep -v -e '^127\\.' -e '^\\[::1\\]' | sed 's/.*://' | sort -un"


def measure(subject: Subject) -> list[Measure]:
    """By IPv4 and, where the server has an address for it, by IPv6."""
    listening = [int(port) for port in subject.run(_LISTENING).split()]
    found = []
    for family, addresses in (("IPv4", (subject.target.ip,)), ("IPv6", subject.ipv6)):
        for address in addresses:
            ports = open_ports(address, ALL, SECONDS) | open_ports(address, listening, AGAIN_SECONDS)
            found.append(result(family, ports))
    return found


def result(family: str, ports: set[int]) -> Measure:
    """The figure for one address."""
    surplus = tuple(Finding(f"port {port}", "answers from outside") for port in sorted(ports - set(WANTED)))
    return Measure("ports", f"open by {family}", surplus, " ".join(map(str, sorted(ports))))


def open_ports(address: str, ports: Iterable[int], seconds: float) -> set[int]:
    """Those of ``ports`` that take a connection within ``seconds``."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 100
    batch: list[int] = []
    found: set[int] = set()
    for port in ports:
        batch.append(port)
        if len(batch) >= min(AT_ONCE, allowed):
            found |= _batch(family, address, batch, seconds)
            batch = []
    return found | (_batch(family, address, batch, seconds) if batch else set())


def _batch(family: int, address: str, ports: list[int], seconds: float) -> set[int]:
    found: set[int] = set()
    with selectors.DefaultSelector() as selector:
        for port in ports:
            attempt = socket.socket(family, socket.SOCK_STREAM)
            attempt.setblocking(False)
            said = attempt.connect_ex((address, port))
            if said in (0, errno.EINPROGRESS):
                selector.register(attempt, selectors.EVENT_WRITE, port)
            else:
                attempt.close()
        deadline = time.monotonic() + seconds
        while selector.get_map() and (left := deadline - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                attempt = key.fileobj  # type: ignore[assignment]
                if attempt.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                    found.add(key.data)
                selector.unregister(attempt)
                attempt.close()
        for key in list(selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
    return found
