"""Enforces the account's firewalls with this host's nftables, as the provider does in front of droplets.

They apply to traffic from this host and from outside, but not between two machines of one cloud.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from runner.local.identity import Identity, Subnet
from runner.local.store import Account

EVERYBODY = frozenset({"0.0.0.0/0", "::/0"})


@dataclass(frozen=True)
class Opening:
    """What one inbound rule allows: ``ports`` in the API's notation (22, 8000-8100, all), networks of both families."""

    protocol: str
    ports: str
    sources: frozenset[str]


@dataclass(frozen=True)
class Wall:
    """A machine and everything that its firewalls allow."""

    slot: int
    openings: frozenset[Opening]


def walls_of(account: Account) -> tuple[Wall, ...]:
    """A wall for each droplet that has firewalls. What any of them allows is allowed."""
    found = []
    for droplet in account.droplets:
        mine = [
            firewall
            for firewall in account.firewalls
            if droplet.id in firewall.droplet_ids or set(firewall.tags) & set(droplet.tags)
        ]
        if mine:
            openings = (_opening(rule) for firewall in mine for rule in firewall.inbound_rules)
            found.append(Wall(droplet.slot, frozenset(openings)))
    return tuple(found)


def _opening(rule: dict[str, Any]) -> Opening:
    return Opening(rule["protocol"], str(rule["ports"]), frozenset(rule["sources"].get("addresses") or ()))


def rules(identity: Identity, subnet: Subnet, walls: Iterable[Wall]) -> str:
    """The nftables commands that replace all walls of a cloud."""
    table, bridge = f"inet {identity.nft_table}", identity.bridge
    chains, leads = [], []
    for wall in walls:
        name = f"machine_{wall.slot}"
        lines = sorted(line for opening in wall.openings for line in _accepts(opening))
        refused = ["meta l4proto { tcp, udp } drop", "icmp type echo-request drop", "icmpv6 type echo-request drop"]
        chains.append(f"chain {name} {{ {'; '.join([*lines, *refused])}; }}")
        leads.append(f"ip daddr {subnet.address(wall.slot)} goto {name}")
        leads.append(f"ip6 daddr {subnet.address6(wall.slot)} goto {name}")
    # "add" before "delete" makes one atomic replacement that also works if the table does not exist yet.
    return "\n".join([
        f"add table {table}",
        f"delete table {table}",
        f"table {table} {{",
        *chains,
        f"chain machines {{ {'; '.join(['ct state established,related accept', *leads])}; }}",
        f'chain from_here {{ type filter hook output priority filter; oifname "{bridge}" jump machines; }}',
        f'chain from_beyond {{ type filter hook forward priority filter; oifname "{bridge}" jump machines; }}',
        "}\n",
    ])  # fmt: skip


def _accepts(opening: Opening) -> list[str]:
    if opening.protocol == "icmp":
        whats = ["icmp type echo-request", "icmpv6 type echo-request"]
    elif opening.ports in ("all", "0"):
        whats = [f"meta l4proto {opening.protocol}"]
    else:
        whats = [f"{opening.protocol} dport {opening.ports}"]
    found = []
    for family, everybody, mark in (("ip", "0.0.0.0/0", "."), ("ip6", "::/0", ":")):
        networks = sorted(one for one in opening.sources if mark in one and (mark == ":" or ":" not in one))
        if not networks:
            continue
        whose = f"meta nfproto {'ipv4' if family == 'ip' else 'ipv6'}"
        if everybody not in networks:
            whose = f"{family} saddr {{ {', '.join(networks)} }}"
        found += [f"{whose} {what} accept" for what in whats if "icmpv6" not in what or family == "ip6"]
    return found
