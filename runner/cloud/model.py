"""The verbs' view of a cloud: servers, DNS zones, and the tags by which we find our things again."""

from __future__ import annotations

import getpass
import re
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from runner.course.hostnames import CHALLENGE

#: Everything that this program makes has this tag, and another one for its course.
TAG = "coursehub"
#: Prefix of the tag that says who made a droplet, on which computer.
MADE_BY = f"{TAG}-by:"


@dataclass(frozen=True)
class Server:
    """A droplet: ``id`` is the cloud's, ``state`` its word (new, active, off, archive), ``made_by`` who ordered it."""

    id: int
    name: str
    ip: str | None
    size: str
    image: str
    region: str
    state: str
    made_by: str = ""
    ip6: str | None = None

    @property
    def addresses(self) -> tuple[str, ...]:
        """Its public addresses, IPv4 first."""
        return tuple(address for address in (self.ip, self.ip6) if address)


@dataclass(frozen=True)
class Order:
    """A droplet to order: ``name`` is its host name; the other values are the cloud's names."""

    course_id: str
    name: str
    size: str
    image: str
    region: str


@dataclass(frozen=True)
class Size:
    """A size that can be ordered: its prices in US dollars, its regions and its memory in MB."""

    slug: str
    price_monthly: float
    price_hourly: float
    regions: tuple[str, ...]
    memory: int
    vcpus: int


@dataclass(frozen=True)
class Authority:
    """A certificate authority other than the public one.

    ``bundle`` has the roots to verify its certificates with; ``extra_ca`` the authorities that a server must trust to
    use it, PEM by name.
    """

    directory: str
    bundle: Path
    extra_ca: Mapping[str, str]


@dataclass(frozen=True)
class Zone:
    """A DNS zone of the account, such as example.edu."""

    name: str

    def label(self, hostname: str) -> str:
        """``hostname`` as a record's name in this zone (``@`` for the zone itself)."""
        return "@" if hostname == self.name else hostname.removesuffix(f".{self.name}")


@dataclass(frozen=True)
class DnsRecord:
    """One record: ``hostname`` in full (a leading ``*.`` means every name below), ``data`` an address or a name."""

    kind: Literal["A", "AAAA", "NS"]
    hostname: str
    data: str


def record_of(hostname: str, ip: str) -> DnsRecord:
    """The record that a course's name gets for a server at ``ip``, of either family.

    Challenges are delegated to the server itself (the rest of the name points to it): it answers them while it orders a
    certificate, and the cloud's token stays off the server.
    """
    if hostname.startswith(CHALLENGE):
        return DnsRecord("NS", hostname, hostname.removeprefix(CHALLENGE))
    return DnsRecord("AAAA" if ":" in ip else "A", hostname, ip)


def zone_among(zones: Iterable[Zone], hostname: str) -> Zone | None:
    """The zone that ``hostname`` belongs to (the longest match), or None."""
    fitting = [zone for zone in zones if hostname == zone.name or hostname.endswith(f".{zone.name}")]
    return max(fitting, key=lambda zone: len(zone.name), default=None)


def tag_of(course_id: str) -> str:
    """The tag by which every computer finds the course's droplet."""
    return f"{TAG}:{course_id}"


def maker() -> str:
    """Who works here, on which computer, in characters that a tag may contain."""
    return re.sub(r"[^A-Za-z0-9_-]", "-", f"{getpass.getuser()}-{socket.gethostname()}")[:200]


def maker_tag(name: str) -> str:
    """The tag that shows colleagues who made a droplet."""
    return f"{MADE_BY}{name}"
