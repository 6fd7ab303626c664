"""A student's programs contact forbidden addresses by IPv6, and read the provider's metadata as its agents may."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.attacks.test_egress_people import call, is_refused
from tests.support.attackers import Person
from tests.support.hub import Hub
from tests.support.internet import names
from tests.support.serving import in_background

#: Ports on which this host answers: a mail server's, and a web server's.
PORTS = (25, 443)
#: Root's connection to an address, with what a student's program would have got.
ROOT_CALL = "python3 -c 'import socket; print(socket.create_connection((\"{host}\", {port}), 5).getpeername()[1])'"


class _Server(socketserver.ThreadingTCPServer):
    address_family = socket.AF_INET6
    allow_reuse_address = True
    daemon_threads = True


@dataclass(frozen=True)
class Outside6:
    """Addresses of this host that the machine reaches by IPv6: one of the internet, and two that are not for people."""

    public: str
    private: str
    link: str


@pytest.fixture(scope="module")
def world(hub: Hub) -> Iterator[Outside6]:
    """The addresses, while they answer; the machine gets routes to them, as it has none to the internet."""
    if not hub.document["ca_bundle"]:
        pytest.skip("only the local cloud has an internet of its own")
    if not hub.run("ip -6 -br addr show dev eth0 scope global").strip():
        pytest.skip("this host has no IPv6")
    number = int(names(hub).address.rpartition(".")[2])
    # Of the documentation's network (RFC 3849), of a private one, and as some clouds have their metadata service.
    found = Outside6(f"2001:db8:c:{number:x}::1", f"fd12:3456:c:{number:x}::1", "fe80::a9fe:a9fe")
    bridge = hub.bridge()
    with contextlib.ExitStack() as stack:
        for address, bits in ((found.public, 128), (found.private, 128), (found.link, 64)):
            place = f"{address}/{bits}", "dev", bridge
            subprocess.run(["ip", "address", "add", *place, "nodad"], check=True)
            stack.callback(subprocess.run, ["ip", "address", "del", *place], check=True)
            scope = socket.if_nametoindex(bridge) if address == found.link else 0
            for port in PORTS:
                server = _Server((address, port, 0, scope), socketserver.BaseRequestHandler)
                stack.callback(server.server_close)
                in_background(server)
                stack.callback(server.shutdown)
            if not scope:
                hub.run(f"ip -6 route add {address}/128 dev eth0")
                stack.callback(hub.run, f"ip -6 route del {address}/128 dev eth0")
        yield found


def by_root(hub: Hub, host: str, port: int) -> str:
    return hub.run(ROOT_CALL.format(host=host, port=port)).strip()


def test_egress_ipv6_mail_is_sent(mallory: Person, hub: Hub, world: Outside6) -> None:
    """Tries: to send mail by IPv6.

    Stopped by: mail ports are closed for everybody except root, over both protocols (formula firewall).
    """
    assert by_root(hub, world.public, 25) == "25", "somebody listens there"
    assert is_refused(call(mallory, world.public, 25))
    assert call(mallory, world.public, 443) == "connected to 443", "what is public is open"


@pytest.mark.parametrize("port", PORTS)
def test_egress_ipv6_private_network(mallory: Person, hub: Hub, world: Outside6, port: int) -> None:
    """Tries: to reach a machine in the private network by IPv6, to which there is a route.

    Stopped by: private networks are closed for people (formula firewall).
    """
    assert by_root(hub, world.private, port) == str(port), "somebody listens there"
    assert is_refused(call(mallory, world.private, port))


@pytest.mark.parametrize("form", ["{link}%eth0", "::ffff:169.254.169.254"])
def test_egress_ipv6_metadata_is_read(mallory: Person, hub: Hub, world: Outside6, form: str) -> None:
    """Tries: to read metadata at a link-local IPv6 address, and at the IPv4 one in its IPv6 form.

    Stopped by: link-local addresses are closed for people, over both protocols (formula firewall).
    """
    host = form.format(link=world.link)
    port = 443 if "%" in host else 80
    assert by_root(hub, host, port) == str(port), "somebody listens there"
    said = call(mallory, host, port)
    # The kernel tells a program of no refusal at a link-local address: the packet is lost.
    assert is_refused(said) or ("%" in host and "TimeoutError" in said), said


def test_egress_metadata_for_the_agent_alone(mallory: Person, hub: Hub) -> None:
    """Tries: to read metadata while the provider's agent may do that, which has an account of its own.

    Stopped by: the firewall knows the agent by its uid; its exception holds for nobody else (formula firewall).
    """
    if not hub.document["ca_bundle"]:
        pytest.skip("it would make an account on somebody's server")
    read = "curl -sS -m 10 http://169.254.169.254/metadata/v1/"
    had = hub.run("id -u do-agent 2>/dev/null || true").strip()
    make = "useradd --system --no-create-home --shell /usr/sbin/nologin"
    # Many accounts within seconds, as when a class list is imported: systemd's default limit would end the look.
    hub.run(f"for i in $(seq 8); do {make} attack-service && userdel attack-service; done; {make} attack-service")
    if not had:
        hub.run(f"{make} do-agent")
    try:
        hub.run(
            "for i in $(seq 50); do\n"
            'nft list set inet coursehub agents | grep -qw "$(id -u do-agent)" && exit 0; sleep 0.2\n'
            "done; nft list set inet coursehub agents; exit 1"
        )
        assert "hostname" in hub.run(f"runuser -u do-agent -- {read}")
        assert "hostname" in hub.run(read), "root's programs, such as cloud-init"
        assert hub.run(f"runuser -u attack-service -- {read} >/dev/null 2>&1; echo $?").strip() == "7"
        assert is_refused(call(mallory, "169.254.169.254", 80))
    finally:
        hub.run("userdel attack-service")
        if not had:
            hub.run("userdel do-agent")
