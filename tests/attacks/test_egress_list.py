"""A course has closed the network except for a list, as for an exam; a student tries to get past it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.attacks.test_egress_people import call, is_refused
from tests.support.attackers import Person
from tests.support.hub import Hub
from tests.support.internet import Internet, internet

pytestmark = pytest.mark.disturbs

NETWORK = """
  network:
    only: [{domain}, "*.below.{domain}", 192.0.2.0/24]
"""
#: Asks the proxy for a connection; prints its answer's status.
CONNECT = """
import socket
line = socket.create_connection(("127.0.0.1", 888), 10)
line.sendall(b"CONNECT {place} HTTP/1.1\\r\\nHost: {place}\\r\\n\\r\\n")
print(line.recv(1000).split(b" ")[1].decode())
"""


@pytest.fixture(scope="module")
def world(
    hub: Hub,
    cast: object,  # noqa: ARG001
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Internet]:
    """The internet, of which the course allows one name; the people exist before and after the network is closed."""
    if request.config.getoption("--hub"):
        pytest.skip("it would change somebody's course")
    path = hub.sandbox.project.course_file(hub.course)
    before = path.read_text(encoding="utf-8")
    try:
        with internet(hub, tmp_path_factory.mktemp("internet")) as found:
            listed = NETWORK.format(domain=found.domain)
            path.write_text(f"{before.rstrip()}\n{listed}", encoding="utf-8")
            assert hub.sandbox.json("apply", hub.course)["courses"][hub.course]["failed"] == 0
            yield found
    finally:
        path.write_text(before, encoding="utf-8")
        assert hub.sandbox.json("apply", hub.course)["courses"][hub.course]["failed"] == 0


@pytest.fixture
def student(world: Internet, mallory: Person) -> Iterator[Person]:  # noqa: ARG001
    """A student whose server started after the network was closed."""
    if "888" not in mallory.python("import os; print(os.environ.get('https_proxy', ''))"):
        mallory.restart()
    return mallory


@pytest.mark.parametrize(
    "place",
    [
        "{other}:443",
        "www.{domain}:443",
        "{domain}.{other}:443",
        "evil{domain}:443",
        "below.{domain}:443",
        "{domain}:22",
        "{address}:443",
        "127.0.0.1:22",
        "localhost:22",
        "169.254.169.254:80",
        "[::1]:22",
    ],
)
def test_egress_list_is_left_by_the_proxy(student: Person, world: Internet, place: str) -> None:
    """Tries: to reach through the proxy a name that is not listed, another port, or the machine itself.

    Stopped by: the proxy passes on only exactly listed names, at port 443 (formula firewall, way_out.sls).
    """
    there = place.format(domain=world.domain, other=world.other, address=world.address)
    assert student.python(CONNECT.format(place=there)) == "403"


def test_egress_list_is_left_without_the_proxy(student: Person, world: Internet) -> None:
    """Tries: to reach the internet without the proxy: directly, with a DNS question, with a datagram.

    Stopped by: everything except the list is closed for people, including DNS, which could carry any data.
    """
    assert is_refused(call(student, world.address, 443))
    assert "gaierror" in call(student, world.domain, 443)
    for port in (53, 443, 123):
        said = student.python(
            "import socket; s = socket.socket(type=socket.SOCK_DGRAM)\n"
            f"print(s.sendto(b'x', ({world.address!r}, {port})))"
        )
        assert is_refused(said), said


def test_egress_list_of_connections_is_used_up(student: Person) -> None:
    """Tries: to use up the proxy's connections, so that nobody else can use it.

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


def test_egress_list_is_open(student: Person, hub: Hub, world: Internet) -> None:
    """Tries: what the list allows: a listed name through the proxy as programs find it, and the hub itself.

    Stopped by: nothing; this proves that normal work is possible.
    """
    # -k: nobody on the machine knows the authority of the tests' internet.
    asked = "curl -sSk -m 20 -o /dev/null -w '%{http_code}' "
    assert student.shell(f"{asked} https://{world.domain}/").text == "200"
    assert student.shell(f"{asked} https://www.below.{world.domain}/").text == "200"
    assert student.shell(f"{asked} https://{world.other}/").code == 56
    assert call(student, hub.document["hostname"], 443) == "connected to 443"
