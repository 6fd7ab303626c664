"""Every TCP port of the server from outside, with plain connections."""

from __future__ import annotations

import errno
import json
import os
import resource
import selectors
import socket
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from runner.agreed import PUBLIC_PORTS
from runner.audit.goals import Finding, Measure
from runner.audit.subject import ScanFailed, Subject, program
from runner.local.identity import Identity
from runner.local.network import connect, disconnect, recorded_subnet
from runner.local.store import FIRST_SLOT

ALL = range(1, 65536)
#: A port without an answer in this time counts as closed. Ports on which the server listens are tried again with the
#: longer time.
SECONDS, AGAIN_SECONDS = 1.0, 5.0
#: Simultaneous connections, if this computer allows as many open files.
AT_ONCE = 1000
#: No droplet has this id, and no droplet uses this slot's address.
_NO_DROPLET, _SLOT = -1, FIRST_SLOT - 3
#: Seconds until the kernel has checked a new IPv6 address and allows its use.
_ADDRESS_SECONDS = 3
_LISTENING = "ss -Hltn | awk '{print $4}' | grep -v -e '^127\\.' -e '^\\[::1\\]' | sed 's/.*://' | sort -un"


def measure(subject: Subject) -> list[Measure]:
    """Over IPv4 and IPv6; a protocol for which the server has no address is skipped."""
    listening = [int(port) for port in subject.run(_LISTENING).split()]
    found = [result("IPv4", both_looks(subject.target.ip, listening))]
    found += [result("IPv6", both_looks(address, listening)) for address in subject.ipv6]
    if subject.container and not subject.ipv6:
        found.append(result("IPv6", _from_beside(subject, listening)))
    return found


def both_looks(address: str, listening: Iterable[int]) -> set[int]:
    """Try all ports with the short time, and those on which the server listens again with the long one."""
    return open_ports(address, ALL, SECONDS) | open_ports(address, listening, AGAIN_SECONDS)


def _from_beside(subject: Subject, listening: list[int]) -> set[int]:
    """Scan a machine of the local cloud over its link-local IPv6 address, which only neighbours can reach."""
    shown = subject.run("ip -6 -o addr show scope link | awk '{print $4}'").split()
    if not shown:
        return set()
    address = shown[0].partition("/")[0]
    with _neighbour(subject) as namespace:
        argv = ["ip", "netns", "exec", namespace, sys.executable, "-m", __name__, f"{address}%eth0"]
        # The path of this code; the working copy may be elsewhere (COURSEHUB_ROOT).
        env = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3])}
        code, said, errors = program([*argv, *map(str, listening)], seconds=600, env=env)
    if code:
        last = (errors.strip().splitlines() or ["no reason given"])[-1]
        raise ScanFailed(f"the ports by IPv6 could not be asked: {last[:200]}")
    return set(json.loads(said))


@contextmanager
def _neighbour(subject: Subject) -> Iterator[str]:
    """Add another computer to the machine's network for the duration of the block; yield its network namespace."""
    identity = Identity.of(subject.project.state)
    subnet = recorded_subnet(identity)
    if subnet is None:
        raise ScanFailed("the local cloud has no network any more; run the audit again")
    try:
        connect(identity, subnet, _NO_DROPLET, _SLOT)
        # The kernel first checks that nobody else has the address.
        time.sleep(_ADDRESS_SECONDS)
        yield identity.netns(_NO_DROPLET)
    finally:
        disconnect(identity, _NO_DROPLET, _SLOT)


def result(family: str, ports: set[int]) -> Measure:
    """The figure for one address."""
    surplus = tuple(Finding(f"port {port}", "answers from outside") for port in sorted(ports - set(PUBLIC_PORTS)))
    return Measure("ports", f"open by {family}", surplus, " ".join(map(str, sorted(ports))))


def open_ports(address: str, ports: Iterable[int], seconds: float) -> set[int]:
    """Those of ``ports`` that accept a connection within ``seconds``."""
    # Includes the interface if the address names one.
    family, _, _, _, place = socket.getaddrinfo(address, 0, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)[0]
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 100
    batch: list[int] = []
    found: set[int] = set()
    for port in ports:
        batch.append(port)
        if len(batch) >= min(AT_ONCE, allowed):
            found |= _batch(family, place, batch, seconds)
            batch = []
    return found | (_batch(family, place, batch, seconds) if batch else set())


def _batch(family: int, place: Sequence[str | int | bytes], ports: list[int], seconds: float) -> set[int]:
    found: set[int] = set()
    with selectors.DefaultSelector() as selector:
        for port in ports:
            attempt = socket.socket(family, socket.SOCK_STREAM)
            attempt.setblocking(False)
            said = attempt.connect_ex((place[0], port, *place[2:]))
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


if __name__ == "__main__":
    print(json.dumps(sorted(both_looks(sys.argv[1], map(int, sys.argv[2:])))))
