"""Find the names that DNS points at this server."""

from __future__ import annotations

import dataclasses
import ipaddress
import json
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from coursehub_cert.config import Config

#: Seconds for one question, all tries together.
LIFETIME = 5.0
#: Beginning of the reason for a name that leads to another address, as it does after its server was replaced.
OLD = "DNS points it at"


@dataclasses.dataclass(frozen=True)
class Dns:
    """Names for which a certificate can be ordered, and why not for the others."""

    here: tuple[str, ...]
    elsewhere: dict[str, str]


def interfaces() -> frozenset[str]:
    """Return the addresses of this machine's interfaces."""
    shown = subprocess.run(
        ["ip", "-json", "address", "show", "scope", "global"], capture_output=True, text=True, check=True
    )
    links = json.loads(shown.stdout)
    return frozenset(info["local"] for link in links for info in link.get("addr_info", []) if "local" in info)


def own_addresses(config: Config) -> frozenset[str]:
    """Return the addresses that count as this server."""
    if config.addresses:
        return frozenset(str(ipaddress.ip_address(address)) for address in config.addresses)
    return interfaces()


def resolver() -> Any:
    """Return a resolver that does not use /etc/hosts, which has 127.0.1.1 for our own name."""
    import dns.resolver

    # systemd-resolved's stub also reads /etc/hosts; its own list of servers does not.
    upstream = Path("/run/systemd/resolve/resolv.conf")
    made = dns.resolver.Resolver(str(upstream) if upstream.exists() else "/etc/resolv.conf")
    made.lifetime = LIFETIME
    return made


def lookup(name: str) -> frozenset[str]:
    """Return all addresses that DNS has for a name. Raises OSError if DNS does not answer."""
    import dns.exception
    import dns.resolver

    asked = resolver()
    found: set[str] = set()
    for kind in ("A", "AAAA"):
        try:
            found |= {str(ipaddress.ip_address(record.to_text())) for record in asked.resolve(name, kind)}
        except (dns.resolver.NoAnswer, dns.resolver.NXDOMAIN):
            continue
        except dns.exception.DNSException as error:
            raise OSError(f"DNS does not answer: {type(error).__name__}") from None
    return frozenset(found)


def look(names: Iterable[str], own: frozenset[str], resolve: Callable[[str], frozenset[str]] | None = None) -> Dns:
    """Return the names that point only here: the CA may ask any address of a name."""
    here: list[str] = []
    elsewhere: dict[str, str] = {}
    for name in names:
        try:
            found = (resolve or lookup)(name)
        except OSError as error:
            elsewhere[name] = str(error)
            continue
        strangers = sorted(found - own)
        if not found:
            elsewhere[name] = "not in DNS"
        elif strangers:
            elsewhere[name] = f"{OLD} {', '.join(strangers)}, not here"
        else:
            here.append(name)
    return Dns(tuple(here), elsewhere)
