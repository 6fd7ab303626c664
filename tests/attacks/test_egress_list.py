"""A course has closed the way out but for a list, as for an exam; a student wants past it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.attacks.test_egress_people import call, is_refused
from tests.support.attackers import Person
from tests.support.hub import Hub

pytestmark = pytest.mark.disturbs

NETWORK = """
  network:
    only: [pypi.org, "*.pythonhosted.org", 192.0.2.0/24]
"""
#: Asks the proxy for a connection; prints its answer's status.
CONNECT = """
import socket
line = socket.create_connection(("127.0.0.1", 888), 10)
line.sendall(b"CONNECT {place} HTTP/1.1\\r\\nHost: {place}\\r\\n\\r\\n")
print(line.recv(1000).split(b" ")[1].decode())
"""


@pytest.fixture(scope="module")
def closed(hub: Hub, cast: object, request: pytest.FixtureRequest) -> Iterator[None]:  # noqa: ARG001
    """The course's network, closed while the module's tests run; the cast is there before and after."""
    if request.config.getoption("--hub"):
        pytest.skip("it would change somebody's course")
    path = hub.sandbox.project.course_file(hub.course)
    before = path.read_text(encoding="utf-8")
    path.write_text(before.rstrip("\n") + "\n" + NETWORK, encoding="utf-8")
    try:
        assert hub.sandbox.json("apply", hub.course)["courses"][hub.course]["failed"] == 0
        yield
    finally:
        path.write_text(before, encoding="utf-8")
        assert hub.sandbox.json("apply", hub.course)["courses"][hub.course]["failed"] == 0


@pytest.fixture
def student(closed: None, mallory: Person) -> Iterator[Person]:  # noqa: ARG001
    """A student whose server began after the network was closed."""
    if "888" not in mallory.python("import os; print(os.environ.get('https_proxy', ''))"):
        mallory.restart()
    return mallory


@pytest.mark.parametrize(
    "place",
    [
        "deb.debian.org:443",
        "pypi.org.example.com:443",
        "evilpypi.org:443",
        "pypi.org:22",
        "203.0.113.7:443",
        "127.0.0.1:22",
        "localhost:22",
        "169.254.169.254:80",
        "[::1]:22",
    ],
)
def test_egress_list_is_left_by_the_proxy(student: Person, place: str) -> None:
    """Tries: to reach by the proxy a name that is not listed, another port, or the machine itself.

    Stopped by: the proxy passes on to listed names, whole, at port 443 alone (formula firewall, way_out.sls).
    """
    assert student.python(CONNECT.format(place=place)) == "403"


def test_egress_list_is_left_without_the_proxy(student: Person) -> None:
    """Tries: to reach the internet past the proxy: directly, by a question for a name, by a datagram.

    Stopped by: all but the list is closed for people, names' port too, which could carry whatever one likes.
    """
    assert is_refused(call(student, "203.0.113.7", 443))
    assert "gaierror" in call(student, "pypi.org", 443)
    for port in (53, 443, 123):
        said = student.python(
            f"import socket; s = socket.socket(type=socket.SOCK_DGRAM); print(s.sendto(b'x', ('203.0.113.7', {port})))"
        )
        assert is_refused(said), said


def test_egress_list_of_connections_is_used_up(student: Person) -> None:
    """Tries: to take all connections of the proxy, so that nobody else has a way out.

    Stopped by: the firewall gives each account 60 (formula firewall).
    """
    said = student.python(
        "import socket\n"
        "lines = []\n"
        "try:\n"
        "    for _ in range(100):\n"
        "        lines.append(socket.create_connection(('127.0.0.1', 888), 5))\n"
        "except OSError as error:\n"
        "    print(len(lines), type(error).__name__)\n"
        "for line in lines:\n"
        "    line.close()\n"
    )
    assert said == "60 ConnectionRefusedError"


def test_egress_list_is_open(student: Person, hub: Hub) -> None:
    """Tries: what the list allows: a listed name through the proxy as programs find it, and the hub itself.

    Stopped by: nothing; this is the other side of the walls.
    """
    asked = "curl -sS -m 20 -o /dev/null -w '%{http_code}' "
    assert student.shell(f"{asked} https://pypi.org/simple/pip/").text == "200"
    assert student.shell(f"{asked} https://deb.debian.org/").code == 56
    assert call(student, hub.document["hostname"], 443) == "connected to 443"
