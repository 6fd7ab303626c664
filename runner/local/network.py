"""The cloud's network: a bridge with the gateway's address, NAT, and a network namespace per machine."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from runner.errors import CoursehubError
from runner.files import write_whole
from runner.local.host import forwarding_on, locked, run
from runner.local.identity import DATA_ROOT, HOST_LOCK, KEYS_PORT, METADATA_PORT, Identity, Subnet

RESOLV_CONF = Path("/etc/resolv.conf")
METADATA_ADDRESS = "169.254.169.254"
# Three private ranges: a host that uses one of them still finds a free /24 in another.
POOLS = ("10.101.0.0/16", "172.29.0.0/16", "198.18.0.0/16")


def upstream_resolvers() -> list[str]:
    """The name servers of this host, read at each call because they change on a laptop."""
    try:
        lines = RESOLV_CONF.read_text().splitlines()
    except OSError:
        return []
    return [words[1] for words in map(str.split, lines) if len(words) > 1 and words[0] == "nameserver"]


def ensure(identity: Identity) -> Subnet:
    """Create this cloud's bridge, address, routing and NAT; existing ones are kept."""
    forwarding_on()
    subnet = _ensure_subnet(identity)
    bridge = identity.bridge
    if not _link_exists(bridge):
        run(["ip", "link", "add", bridge, "mtu", str(_mtu()), "type", "bridge"])
    _no_ipv6_address(bridge)
    run(["ip", "addr", "replace", f"{subnet.gateway}/{subnet.network.prefixlen}", "dev", bridge])
    if has_ipv6():
        run(["ip", "addr", "replace", f"{subnet.gateway6}/64", "dev", bridge, "nodad"])
    run(["ip", "link", "set", bridge, "up"])
    run(["nft", "-f", "-"], stdin=_nft_rules(identity, subnet))
    return subnet


def remove(identity: Identity) -> None:
    """Remove this cloud's bridge, NAT, interfaces and namespaces."""
    for entry in _json(["ip", "netns", "list"]):
        if entry["name"].startswith(f"ch-{identity.key}-"):
            run(["ip", "netns", "del", entry["name"]], check=False)
    for link in _json(["ip", "link", "show"]):
        if link["ifname"].startswith(f"chv{identity.key}.") or link["ifname"] == identity.bridge:
            run(["ip", "link", "del", link["ifname"]], check=False)
    for family in ("ip", "inet"):
        run(["nft", "delete", "table", family, identity.nft_table], check=False)


def has_ipv6() -> bool:
    """Whether this host's kernel has IPv6 and it is not switched off."""
    try:
        return Path("/proc/sys/net/ipv6/conf/all/disable_ipv6").read_text().strip() == "0"
    except OSError:
        return False


def connect(identity: Identity, subnet: Subnet, droplet_id: int, slot: int, *, ipv6: bool = False) -> None:
    """Give a machine its namespace with the interface eth0, its address and the way out.

    With ``ipv6`` it gets an address of that family too, with which it reaches this host and its neighbours alone: what
    has no route fails at once, and programs take IPv4 instead.
    """
    namespace, veth = identity.netns(droplet_id), identity.veth(slot)
    if any(entry["name"] == namespace for entry in _json(["ip", "netns", "list"])) and _link_exists(veth):
        return
    disconnect(identity, droplet_id, slot)
    mtu = str(_mtu())
    run(["ip", "netns", "add", namespace])
    run(["ip", "link", "add", veth, "mtu", mtu, "type", "veth", "peer", "name", "eth0", "mtu", mtu, "netns", namespace])
    _no_ipv6_address(veth)
    run(["ip", "link", "set", veth, "master", identity.bridge, "up"])
    inside = ["ip", "-n", namespace]
    run([*inside, "link", "set", "lo", "up"])
    run([*inside, "addr", "add", f"{subnet.address(slot)}/{subnet.network.prefixlen}", "dev", "eth0"])
    if ipv6 and has_ipv6():
        run([*inside, "addr", "add", f"{subnet.address6(slot)}/64", "dev", "eth0", "nodad"])
    run([*inside, "link", "set", "eth0", "up"])
    run([*inside, "route", "add", "default", "via", subnet.gateway])


def _no_ipv6_address(link: str) -> None:
    """Keep the kernel from giving a link an IPv6 address; does nothing on a host without IPv6.

    Chromium aborts all requests when an address of its computer appears or disappears, and Lab stays blank. That must
    not happen to a user of one hub when another course's machine starts.
    """
    run(["ip", "link", "set", link, "addrgenmode", "none"], check=False)


def disconnect(identity: Identity, droplet_id: int, slot: int) -> None:
    """Remove a machine's interface and namespace; does nothing if there are none."""
    run(["ip", "link", "del", identity.veth(slot)], check=False)
    run(["ip", "netns", "del", identity.netns(droplet_id)], check=False)


def _nft_rules(identity: Identity, subnet: Subnet) -> str:
    metadata = f"{subnet.gateway}:{METADATA_PORT}"
    # "add" before "delete" makes the replacement atomic, whether or not the table exists.
    return f"""
        add table ip {identity.nft_table}
        delete table ip {identity.nft_table}
        table ip {identity.nft_table} {{
            chain metadata {{
                type nat hook prerouting priority dstnat;
                iifname "{identity.bridge}" ip daddr {METADATA_ADDRESS} tcp dport 80 dnat to {metadata}
            }}
            chain way_out {{
                type nat hook postrouting priority srcnat;
                ip saddr {subnet.network} ip daddr != {subnet.network} masquerade
            }}
            # Nobody asks the metadata service at its own address, for which a machine has no rule.
            chain metadata_alone {{
                type filter hook input priority filter;
                ip daddr {subnet.gateway} tcp dport {METADATA_PORT} ct status dnat accept
                ip daddr {subnet.gateway} tcp dport {METADATA_PORT} reject with tcp reset
            }}
            # Whoever has the private key of a root that a browser trusts can be any site to it.
            chain keys {{
                type filter hook output priority filter;
                ip daddr {identity.keys_address} tcp dport {KEYS_PORT} meta skuid != 0 reject with tcp reset
            }}
        }}
    """


def recorded_subnet(identity: Identity) -> Subnet | None:
    """The cloud's network, if it was chosen already."""
    try:
        return Subnet(ipaddress.IPv4Network(json.loads((identity.data / "network.json").read_text())["network"]))
    except FileNotFoundError:
        return None


def _ensure_subnet(identity: Identity) -> Subnet:
    record = identity.data / "network.json"
    with locked(HOST_LOCK):
        chosen = recorded_subnet(identity)
        if chosen is not None:
            return chosen
        network = free_network(chain(_networks_in_use(), _networks_of_other_clouds()), start=int(identity.key, 16))
        write_whole(record, json.dumps({"network": str(network), "state": str(identity.state)}))
        return Subnet(network)


def free_network(used: Iterable[ipaddress.IPv4Network], *, start: int) -> ipaddress.IPv4Network:
    """The first free /24 of our pools, starting at a position derived from the cloud's key."""
    taken = list(used)
    for pool in map(ipaddress.IPv4Network, POOLS):
        candidates = list(pool.subnets(new_prefix=24))
        for offset in range(len(candidates)):
            candidate = candidates[(start + offset) % len(candidates)]
            if not any(candidate.overlaps(other) for other in taken):
                return candidate
    raise CoursehubError("no free private /24 network on this host; stop local clouds that you no longer need")


def _networks_in_use() -> Iterator[ipaddress.IPv4Network]:
    for route in _json(["ip", "-4", "route", "show", "table", "all"]):
        if route["dst"] != "default" and route.get("type") != "multicast":
            yield ipaddress.IPv4Network(route["dst"], strict=False)
    for resolver in upstream_resolvers():
        if ":" not in resolver:
            yield ipaddress.IPv4Network(resolver)


def _networks_of_other_clouds() -> Iterator[ipaddress.IPv4Network]:
    for record in DATA_ROOT.glob("*/network.json"):
        yield ipaddress.IPv4Network(json.loads(record.read_text())["network"])


def _mtu() -> int:
    """The MTU of the default route: a larger one would lose big packets if path MTU discovery is blocked."""
    for route in _json(["ip", "-4", "route", "show", "default"]):
        for link in _json(["ip", "link", "show", "dev", route["dev"]]):
            return min(1500, int(link["mtu"]))
    return 1500


def _link_exists(name: str) -> bool:
    return (Path("/sys/class/net") / name).exists()


def _json(argv: list[str]) -> list[dict[str, Any]]:
    text = run([argv[0], "-json", *argv[1:]]).strip()
    return [entry for entry in json.loads(text or "[]") if entry]
