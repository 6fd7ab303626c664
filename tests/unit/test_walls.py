"""Firewalls of the account: which machines they apply to, and what the kernel lets through with their rules."""

from __future__ import annotations

import ipaddress
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runner import local
from runner.local import walls
from runner.local.identity import Identity, Subnet
from runner.local.store import Account, Droplet, Firewall
from tests.support.local_api import Api

pytestmark = pytest.mark.unit
EVERYBODY = {"addresses": ["0.0.0.0/0", "::/0"]}


def rule(protocol: str, ports: str, *addresses: str) -> dict[str, Any]:
    return {"protocol": protocol, "ports": ports, "sources": {"addresses": list(addresses)} if addresses else EVERYBODY}


def droplet(number: int, *tags: str) -> Droplet:
    facts = {"size": "s-1vcpu-1gb", "disk": 25, "image": "debian-13-x64", "region": "nyc3", "user_data": ""}
    return Droplet(
        id=number, name=f"d{number}", slot=number, tags=list(tags), public_keys=[], created_at="now", **facts
    )


def firewall(name: str, *rules: dict[str, Any], ids: tuple[int, ...] = (), tags: tuple[str, ...] = ()) -> Firewall:
    return Firewall(
        id=name, name=name, created_at="now", inbound_rules=list(rules), droplet_ids=list(ids), tags=list(tags)
    )


def test_a_droplet_has_what_all_its_firewalls_let_in() -> None:
    account = Account(
        droplets=[droplet(11), droplet(12, "web"), droplet(13)],
        firewalls=[firewall("a", rule("tcp", "22"), ids=(11, 12)), firewall("b", rule("tcp", "80"), tags=("web",))],
    )
    found = {wall.slot: {opening.ports for opening in wall.openings} for wall in walls.walls_of(account)}
    assert found == {11: {"22"}, 12: {"22", "80"}}


def test_walls_follow_the_account(api: Api) -> None:
    """A firewall is made, changed and removed, and its droplet is deleted: the rules follow each time."""
    order = {"name": "d", "size": "s-1vcpu-1gb", "image": "debian-13-x64", "region": "nyc3", "ipv6": True}
    made = api.ok("POST", "droplets", order)["droplet"]
    body = {"name": "walls", "inbound_rules": [rule("tcp", "22")], "outbound_rules": [], "droplet_ids": [made["id"]]}
    machines: Any = api.cloud.backend

    def ports() -> list[set[str]]:
        return [{opening.ports for opening in wall.openings} for wall in machines.walls]

    number = api.ok("POST", "firewalls", body)["firewall"]["id"]
    assert ports() == [{"22"}]
    api.ok("PUT", f"firewalls/{number}", {**body, "inbound_rules": [rule("tcp", "22"), rule("tcp", "80")]})
    assert ports() == [{"22", "80"}]
    api.ok("DELETE", f"droplets/{made['id']}")
    assert ports() == []


def test_a_droplet_has_ipv6_when_it_was_ordered(api: Api) -> None:
    order = {"name": "d", "size": "s-1vcpu-1gb", "image": "debian-13-x64", "region": "nyc3"}
    without = api.ok("POST", "droplets", order)["droplet"]
    assert without["networks"]["v6"] == []
    assert "ipv6" not in without["features"]
    has = api.ok("POST", "droplets", {**order, "ipv6": True})["droplet"]
    assert ipaddress.ip_address(has["networks"]["v6"][0]["ip_address"]).version == 6
    assert "ipv6" in has["features"]


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Callable[[], str]]:
    """Two network namespaces with a bridge between them. The function runs Python in the machine's namespace."""
    names = [f"h4w{tmp_path.name[-6:]}{one}".replace("_", "") for one in "ab"]
    outside, inside = names
    identity, subnet = Identity.of(tmp_path), Subnet(ipaddress.IPv4Network("10.101.7.0/24"))

    def ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True)

    for name in names:
        ip("netns", "add", name)
    try:
        ip("-n", outside, "link", "add", identity.bridge, "type", "bridge")
        ip("-n", outside, "link", "add", "veth", "type", "veth", "peer", "name", "eth0", "netns", inside)
        ip("-n", outside, "link", "set", "veth", "master", identity.bridge, "up")
        for where, link, four, six in (
            (outside, identity.bridge, subnet.gateway, subnet.gateway6),
            (inside, "eth0", subnet.address(14), subnet.address6(14)),
        ):
            ip("-n", where, "addr", "add", f"{four}/24", "dev", link)
            ip("-n", where, "addr", "add", f"{six}/64", "dev", link, "nodad")
            ip("-n", where, "link", "set", link, "up")
            ip("-n", where, "link", "set", "lo", "up")
        server = subprocess.Popen(["ip", "netns", "exec", inside, "python3", "-c", LISTEN], stdout=subprocess.PIPE)
        assert server.stdout
        assert server.stdout.readline() == b"ready\n"

        def reached(openings: list[dict[str, Any]]) -> str:
            account = Account(droplets=[droplet(14)], firewalls=[firewall("a", *openings, ids=(14,))])
            text = walls.rules(identity, subnet, walls.walls_of(account))
            subprocess.run(["ip", "netns", "exec", outside, "nft", "-f", "-"], input=text, text=True, check=True)
            asked = [f"{address} {port}" for address in (subnet.address(14), subnet.address6(14)) for port in PORTS]
            done = subprocess.run(
                ["ip", "netns", "exec", outside, "python3", "-c", ASK, *asked],
                capture_output=True, text=True, check=True,
            )  # fmt: skip
            return done.stdout.strip()

        yield reached
        server.kill()
        server.wait()
    finally:
        for name in names:
            ip("netns", "del", name)


PORTS = (22, 80, 8000)
LISTEN = """
import socket, time
kept = []
for port in (22, 80, 8000):
    for family in (socket.AF_INET, socket.AF_INET6):
        one = socket.socket(family)
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.bind(("", port)); one.listen(); kept.append(one)
print("ready", flush=True)
time.sleep(60)
"""
ASK = """
import socket, sys
for one in sys.argv[1:]:
    address, port = one.split()
    try:
        socket.create_connection((address, int(port)), 0.5).close()
        print("yes", end=" ")
    except OSError:
        print("no", end=" ")
"""


@pytest.mark.skipif(local.why_unavailable() is not None, reason="makes network namespaces")
def test_the_kernel_lets_through_what_is_let_in(machine: Callable[[list[dict[str, Any]]], str]) -> None:
    """Ports 22, 80 and 8000 over IPv4, then over IPv6, with programs that listen on all of them."""
    assert machine([rule("tcp", "22"), rule("tcp", "80")]) == "yes yes no yes yes no"
    assert machine([rule("tcp", "all")]) == "yes yes yes yes yes yes"
    assert machine([rule("tcp", "8000-8100"), rule("udp", "53")]) == "no no yes no no yes"
    assert machine([rule("tcp", "22", "192.0.2.0/24"), rule("tcp", "80", "10.101.7.1")]) == "no yes no no no no"
    assert machine([rule("icmp", "0")]) == "no no no no no no"
