"""A student's programs contact forbidden addresses; what a class needs stays reachable."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.attackers import Person
from tests.support.hub import Hub
from tests.support.internet import Internet, internet, names

#: Opens a TCP connection and prints the result. A short wait is enough: what the firewall refuses ends at once.
CALL = """
import socket
from contextlib import closing
with closing(socket.create_connection(({host!r}, {port}), 5)) as line:
    print("connected to", line.getpeername()[1])
"""
REFUSED = (
    "ConnectionRefusedError",
    "PermissionError",
    "No route to host",
    "OSError: [Errno 13]",
    "OSError: [Errno 113]",
)


def call(person: Person, host: str, port: int) -> str:
    return person.python(CALL.format(host=host, port=port))


def is_refused(said: str) -> bool:
    return any(word in said for word in REFUSED)


def gateway(hub: Hub) -> str:
    return hub.run("ip -4 route show default | awk '{print $3}'").strip()


@pytest.fixture(scope="module")
def world(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Internet]:
    """The stand-in for the internet, while it answers."""
    if not hub.document["ca_bundle"]:
        pytest.skip("only the local cloud has an internet of its own")
    with internet(hub, tmp_path_factory.mktemp("internet")) as found:
        yield found


@pytest.mark.parametrize("port", [25, 465, 587, 2525])
def test_egress_mail_is_sent(mallory: Person, hub: Hub, port: int) -> None:
    """Tries: to send mail from the hub's address.

    Stopped by: mail ports are closed for everybody except root (formula firewall).
    """
    assert is_refused(call(mallory, names(hub).address, port))


def test_egress_metadata_is_read(mallory: Person, hub: Hub) -> None:
    """Tries: to read the server's user-data, which may contain secrets.

    Stopped by: only root and the cloud's agents may use the metadata address (formula firewall).
    """
    assert is_refused(call(mallory, "169.254.169.254", 80))
    assert hub.run("curl -sS -m 10 http://169.254.169.254/metadata/v1/ || true"), "it is there for root"


def test_egress_metadata_by_another_address(mallory: Person, hub: Hub) -> None:
    """Tries: to read the metadata at the real address of the cloud's service instead of the closed one.

    Stopped by: private networks are closed for people (formula firewall).
    """
    assert is_refused(call(mallory, gateway(hub), 8169))


@pytest.mark.parametrize("host", ["10.0.0.1", "172.16.0.1", "192.168.0.1", "100.64.0.1", "::ffff:10.0.0.1", "fd00::1"])
def test_egress_private_network_is_reached(mallory: Person, host: str) -> None:
    """Tries: to reach machines in the cloud's or the college's private network.

    Stopped by: private networks are closed for people, over IPv4 and IPv6 (formula firewall).
    """
    said = call(mallory, host, 443)
    # Without IPv6 there is no route.
    assert is_refused(said) or "Network is unreachable" in said


@pytest.mark.parametrize("port", [53, 123, 4789])
def test_egress_private_network_by_datagram(mallory: Person, port: int) -> None:
    """Tries: to reach machines in the private network over UDP, including the DNS port.

    Stopped by: private networks are closed for people except the machine's own resolvers (formula firewall).
    """
    said = mallory.python(
        f"import socket; s = socket.socket(type=socket.SOCK_DGRAM); print(s.sendto(b'x', ('10.0.0.1', {port})))"
    )
    assert is_refused(said)


def test_egress_own_ssh_is_reached(mallory: Person, hub: Hub) -> None:
    """Tries: to reach the machine's own sshd, over loopback and its public address.

    Stopped by: of this machine's ports below 1024, people reach only the web server's and DNS (formula firewall).
    """
    for host in ("127.0.0.1", "::1", "localhost", hub.document["server"]["ip"]):
        assert is_refused(call(mallory, host, 22)), host


def test_egress_by_an_open_connection(mallory: Person, hub: Hub, world: Internet) -> None:
    """Tries: to keep using an open connection after an apply has closed its destination.

    Stopped by: the firewall checks each packet, not only a connection's first (formula firewall).
    """
    kept = "import socket, builtins\n"
    opened = mallory.python(
        f"{kept}builtins.kept = socket.create_connection(({world.domain!r}, 443), 10)\n"
        "print(builtins.kept.getpeername()[0])"
    )
    assert opened == world.address
    hub.run(f"nft add element inet coursehub private4 '{{ {opened} }}'")
    try:
        said = mallory.python(
            f"{kept}builtins.kept.settimeout(3); builtins.kept.send(b'x' * 100); print('got', builtins.kept.recv(100))"
        )
    finally:
        hub.run(f"nft delete element inet coursehub private4 '{{ {opened} }}'")
    # If the server answers, it complains about data that is not TLS.
    assert is_refused(said) or "ConnectionReset" in said or "TimeoutError" in said, said


def test_egress_of_a_class_is_open(mallory: Person, hub: Hub, world: Internet) -> None:
    """Tries: what every class does: DNS, web sites and git over https, and the hub by its own name.

    Stopped by: nothing; this proves that normal work is possible.
    """
    for host, port in ((world.www, 443), (hub.document["hostname"], 443), (hub.document["hostname"], 80)):
        assert call(mallory, host, port) == f"connected to {port}"
