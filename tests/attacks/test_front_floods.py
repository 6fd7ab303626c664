"""Somebody uses up connections or memory, so that nobody else gets in."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from runner.local.catalog import SIZES
from tests.support.attackers import Outside, Person, statuses
from tests.support.hub import Hub

#: Opens many connections and sends half a request on each; prints how many it has, and holds them.
HALF_REQUESTS = """
import resource, socket, sys, time
address, name, wanted, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
files = wanted + 100
resource.setrlimit(resource.RLIMIT_NOFILE, (files, max(files, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
lines = []
for _ in range(wanted):
    try:
        line = socket.create_connection((address, 80), 0.5)
        line.sendall(f"GET /hub/login HTTP/1.1\\r\\nHost: {name}\\r\\nX-Slow: ".encode())
        lines.append(line)
    except OSError:
        if len(lines) < wanted // 20 or len(lines) > wanted - 10:
            continue
        break
print(len(lines), flush=True)
time.sleep(seconds)
"""
#: Bytes by which a process of the hub may grow while it receives bodies.
GROWTH = 60_000_000
BODY = 60_000_000


def resident(hub: Hub, unit: str) -> int:
    """The peak of resident bytes of a unit's first process."""
    return 1024 * int(hub.run(f"awk '/VmHWM/ {{print $2}}' /proc/$(systemctl show -p MainPID --value {unit})/status"))


@pytest.mark.disturbs
def test_front_half_requests_shut_the_hub(hub: Hub, outside: Outside) -> None:
    """Tries: to block everybody with thousands of half requests from one address.

    Stopped by: the firewall limits connections per address, and nginx drops half a request after ten seconds.
    """
    with hub.laptop() as namespace:
        attacker = subprocess.Popen(
            [
                *("ip", "netns", "exec", namespace, sys.executable, "-c", HALF_REQUESTS),
                *(outside.address, outside.name, "9000", "4"),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert attacker.stdout is not None
            held = int(attacker.stdout.readline())
            # From here on the attacker has used up their allowance.
            for _ in range(3):
                began = time.monotonic()
                assert outside.browser().get("/hub/login").status_code == 200
                assert time.monotonic() - began < 15
        finally:
            attacker.kill()
            attacker.wait()
    assert 500 <= held <= 1500, held


def test_front_half_a_request_is_held_open(outside: Outside) -> None:
    """Tries: to hold a connection with half a request for as long as possible, one letter at a time.

    Stopped by: nginx requires the whole request within ten seconds.
    """
    with outside.line(seconds=25) as line:
        began = time.monotonic()
        line.sendall(f"GET /hub/login HTTP/1.1\r\nHost: {outside.name}\r\nX-Slow: ".encode())
        ended = b"nothing yet"
        line.settimeout(1)
        while time.monotonic() - began < 20 and ended:
            try:
                line.sendall(b"x")
                ended = line.recv(1000)
            except TimeoutError:
                continue
            except OSError:
                break
        assert 8 < time.monotonic() - began < 18


def test_front_parts_take_the_memory_of_the_class(hub: Hub) -> None:
    """Tries: nothing; a part of the front that somebody fills must not take the memory of the whole server.

    Stopped by: MemoryMax of each part, which the smallest size that a course can have holds.
    """
    said = hub.run("systemctl show -p MemoryMax --value jupyterhub jupyterhub-proxy nginx").split()
    smallest = min(size.memory for size in SIZES.values()) << 20
    assert all(one.isdigit() and int(one) < smallest for one in said), said
    assert len(said) == 3, said


@pytest.mark.disturbs
@pytest.mark.parametrize("path", ["/hub/login", "/user/nobody-here/x", "/services/students-work/", "/"])
def test_front_bodies_fill_the_memory(hub: Hub, outside: Outside, path: str) -> None:
    """Tries: to fill the memory of proxy, hub or nginx with big bodies, as a stranger and wherever they are accepted.

    Stopped by: nginx accepts 1 MB outside of /user/, and the hub itself no more, which answers for servers that do not
    run.
    """
    units = ("jupyterhub", "jupyterhub-proxy", "nginx")
    before = {unit: resident(hub, unit) for unit in units}

    def send(_: int) -> list[int]:
        # Like a script on the hub's own pages, so that no other protection refuses it first.
        claims = "Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty\r\n"
        head = f"POST {path} HTTP/1.1\r\nHost: {outside.name}\r\n{claims}Content-Length: {BODY}\r\n\r\n".encode()
        return statuses(outside.send(head + b"x" * BODY, seconds=20))

    with ThreadPoolExecutor(max_workers=3) as pool:
        answers = list(pool.map(send, range(3)))
    assert all(set(answer) <= {302, 400, 403, 404, 405, 413, 503} for answer in answers), answers
    grown = {unit: resident(hub, unit) - before[unit] for unit in units}
    assert all(more < GROWTH for more in grown.values()), grown


def test_front_headers_without_end(outside: Outside) -> None:
    """Tries: to fill the memory with an endless address, header, or number of headers.

    Stopped by: nginx accepts 128 kB of headers, and the proxy behind it 16 kB.
    """
    name = outside.name.encode()
    for request in (
        b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: " + name + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: " + name + b"\r\nX: " + b"x" * 20_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: " + name + b"\r\n" + b"X: y\r\n" * 10_000 + b"\r\n",
    ):
        assert set(statuses(outside.send(request, seconds=5))) <= {400, 414, 431}


@pytest.mark.parametrize("line", ["GET /hub/login HTTP/1.0", "GET /hub/login HTTP/1.1", "GET /hub/login"])
def test_front_without_a_name(outside: Outside, line: str) -> None:
    """Tries: to get an answer without a name, like scanners of addresses.

    Stopped by: nginx's first server closes the connection.
    """
    for port in (80, 443):
        answer = outside.send(f"{line}\r\n\r\n".encode(), port=port, seconds=3)
        assert statuses(answer) in ([], [400]), answer[:200]
        assert b"login" not in answer.lower()


def test_front_two_names(outside: Outside) -> None:
    """Tries: to pass nginx with one name and show the hub another: in the request line, twice, or with a port.

    Stopped by: the hub gets the name by which nginx chose, and nginx refuses two headers.
    """
    name = outside.name.encode()
    for request in (
        b"GET https://" + name + b"/hub/login HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
        b"GET /hub/login HTTP/1.1\r\nHost: " + name + b"\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
        b"GET /hub/login HTTP/1.1\r\nHost: evil.example\r\nHost: " + name + b"\r\nConnection: close\r\n\r\n",
        b"GET /hub/login HTTP/1.1\r\nHost: " + name + b".:evil\r\nConnection: close\r\n\r\n",
    ):
        answer = outside.send(request, seconds=5)
        assert b"evil" not in answer, answer[:300]


def test_front_upgrade_to_something_else(outside: Outside, mallory: Person) -> None:
    """Tries: to get a raw connection with an upgrade that is no websocket or is refused.

    Stopped by: nginx passes on only upgrades to a websocket, and connects both ends only after a 101.
    """
    name = outside.name.encode()
    mallory.serve()
    for path in (b"/hub/login", b"/user/" + mallory.account.encode() + b"/lab"):
        for upgrade in (b"h2c", b"websocket", b"TLS/1.2", b"websocket, h2c"):
            request = (
                b"GET " + path + b" HTTP/1.1\r\nHost: " + name + b"\r\nConnection: Upgrade\r\nUpgrade: " + upgrade
                + b"\r\nSec-WebSocket-Version: 777\r\n\r\nGET /hub/api/users HTTP/1.1\r\nHost: x\r\n\r\n"
            )  # fmt: skip
            got = statuses(outside.send(request, seconds=3))
            assert 101 not in got, (path, upgrade, got)
