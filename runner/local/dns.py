"""The cloud's name server: answers for the account's zones from its records, and asks the host's resolvers otherwise.

It acts as the provider's name server and as a resolver at once: a query with recursion desired (RD) gets the answer of
the name server that a zone delegates to; a query without RD gets the referral.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable

from dnslib import AAAA, CAA, CNAME, MX, NS, QTYPE, RCODE, RD, RR, SOA, SRV, TXT, A, DNSRecord
from dnslib.server import BaseResolver, DNSHandler, DNSServer

from runner.local.network import upstream_resolvers
from runner.local.store import Domain, Record

UPSTREAM_SECONDS = 3.0
# Tests change records of our zones, so nobody may cache answers for long.
MAX_TTL = 5
MAX_ALIASES = 8

_RDATA: dict[str, Callable[[Record], RD]] = {
    "A": lambda record: A(record.data),
    "AAAA": lambda record: AAAA(record.data),
    "CNAME": lambda record: CNAME(record.data),
    "SRV": lambda record: SRV(record.priority or 0, record.weight or 0, record.port or 0, record.data),
    "MX": lambda record: MX(record.data, record.priority or 0),
    "NS": lambda record: NS(record.data),
    "TXT": lambda record: TXT([record.data[i : i + 255] for i in range(0, len(record.data), 255)] or [""]),
    "CAA": lambda record: CAA(record.flags or 0, record.tag or "issue", record.data),
}


def full_name(record: Record, domain: Domain) -> str:
    """The record's full name, without the final dot, in lower case."""
    name = domain.name if record.name == "@" else f"{record.name}.{domain.name}"
    return name.lower()


def answer(request: DNSRecord, domains: list[Domain], own_address: str = "") -> DNSRecord | None:
    """The reply for one of our zones; None if the name is in none of them.

    NXDOMAIN for a name without records, an empty answer for a name without a record of this type (RFC 2308). A wildcard
    applies if the name has no records (RFC 4592). Aliases are followed within our zones. A delegated name gets a
    referral (RFC 1034, 4.3.2).

    ``own_address`` is the address of our own name server.
    """
    name = _asked(request)
    domain = _zone_of(name, domains)
    if domain is None:
        return None
    if delegation := delegation_of(name, domain):
        return _referral(request, delegation, domains)
    reply = request.reply(aa=1, ra=1)
    own = _of_the_zone_itself(name, QTYPE[request.q.qtype], domain, own_address)
    if own:
        reply.add_answer(own)
        return reply
    records = _records_of(name, domain)
    _add_answers(reply, name, QTYPE[request.q.qtype], domains)
    if not reply.rr:
        known = bool(records) or name == domain.name or _has_names_below(name, domain)
        reply.header.rcode = RCODE.NOERROR if known else RCODE.NXDOMAIN
        reply.add_auth(_soa(domain))
    return reply


def _asked(request: DNSRecord) -> str:
    return str(request.q.qname).rstrip(".").lower()


def delegation_of(name: str, domain: Domain) -> list[Record]:
    """The NS records that delegate ``name`` or a name above it, without those of the zone itself."""
    found = [
        record
        for record in domain.records
        if record.type == "NS" and record.name != "@" and f".{name}".endswith(f".{full_name(record, domain)}")
    ]
    nearest = max((len(record.name) for record in found), default=0)
    return [record for record in found if len(record.name) == nearest]


def addresses_of(delegation: list[Record], domains: list[Domain]) -> list[str]:
    """The IPv4 addresses of a delegation's name servers, if their names are in our zones."""
    found: list[str] = []
    for record in delegation:
        name = record.data.rstrip(".").lower()
        domain = _zone_of(name, domains)
        if domain is not None:
            found += [one.data for one in _records_of(name, domain) if one.type == "A"]
    return found


def wildcard_address(name: str, domains: list[Domain]) -> str | None:
    """The IPv4 address from a wildcard record for a name; None if the name has its own records."""
    domain = _zone_of(name, domains)
    records = _records_of(name, domain) if domain else []
    return next((one.data for one in records if one.type == "A" and one.name.startswith("*")), None)


def _referral(request: DNSRecord, delegation: list[Record], domains: list[Domain]) -> DNSRecord:
    reply = request.reply(aa=0, ra=1)
    for record in delegation:
        domain = next(one for one in domains if record in one.records)
        target = _target(record, domain)
        reply.add_auth(RR(full_name(record, domain), QTYPE.NS, ttl=min(record.ttl, MAX_TTL), rdata=NS(target)))
        for address in addresses_of([record], domains):
            reply.add_ar(RR(target, QTYPE.A, ttl=MAX_TTL, rdata=A(address)))
    return reply


def _of_the_zone_itself(name: str, wanted: str, domain: Domain, own_address: str) -> RR | None:
    """Records that each zone has regardless of the account: SOA, NS, and the name server's address.

    The provider's name servers in the account's NS records are this server.
    """
    if name == domain.name and wanted == "SOA":
        return _soa(domain)
    if name == domain.name and wanted == "NS":
        return RR(name, QTYPE.NS, ttl=MAX_TTL, rdata=NS(_name_server(domain)))
    if name == _name_server(domain) and wanted == "A" and own_address:
        return RR(name, QTYPE.A, ttl=MAX_TTL, rdata=A(own_address))
    return None


def _name_server(domain: Domain) -> str:
    return f"ns1.{domain.name}"


def _add_answers(reply: DNSRecord, name: str, wanted: str, domains: list[Domain]) -> None:
    for _ in range(MAX_ALIASES):
        domain = _zone_of(name, domains)
        if domain is None:
            return
        alias = None
        for record in _records_of(name, domain):
            if record.type in _RDATA and (record.type in (wanted, "CNAME") or wanted == "ANY"):
                kind = getattr(QTYPE, record.type)
                target = _target(record, domain)
                rdata = _RDATA[record.type](record.model_copy(update={"data": target}))
                reply.add_answer(RR(name, kind, ttl=min(record.ttl, MAX_TTL), rdata=rdata))
                alias = target if record.type == "CNAME" and wanted != "CNAME" else None
        if alias is None:
            return
        name = alias.rstrip(".").lower()


def _target(record: Record, domain: Domain) -> str:
    """The target of a record; "@" means the domain in the API's records."""
    return domain.name if record.data == "@" and record.type in ("CNAME", "MX", "NS", "SRV") else record.data


def _zone_of(name: str, domains: list[Domain]) -> Domain | None:
    zones = [domain for domain in domains if name == domain.name or name.endswith(f".{domain.name}")]
    return max(zones, key=lambda zone: len(zone.name), default=None)


def _records_of(name: str, domain: Domain) -> list[Record]:
    exact = [record for record in domain.records if full_name(record, domain) == name]
    parent = name
    while not exact and parent.endswith(f".{domain.name}"):
        parent = parent.split(".", 1)[1]
        exact = [record for record in domain.records if full_name(record, domain) == f"*.{parent}"]
        if _has_names_below(parent, domain) and not exact and parent != domain.name:
            break
    return exact


def _has_names_below(name: str, domain: Domain) -> bool:
    return any(full_name(record, domain).endswith(f".{name}") for record in domain.records)


def _soa(domain: Domain) -> RR:
    rdata = SOA(_name_server(domain), f"hostmaster.{domain.name}", (1, 60, 60, 600, MAX_TTL))
    return RR(domain.name, QTYPE.SOA, ttl=MAX_TTL, rdata=rdata)


class ZoneResolver(BaseResolver):  # type: ignore[misc]
    """Answers from the account, or asks the host's resolvers over the query's protocol (UDP or TCP)."""

    def __init__(self, domains: Callable[[], list[Domain]], own_address: str) -> None:
        self._domains = domains
        self._own_address = own_address

    def resolve(self, request: DNSRecord, handler: DNSHandler) -> DNSRecord:
        """The reply to one question."""
        domains = self._domains()
        name = _asked(request)
        domain = _zone_of(name, domains)
        delegation = delegation_of(name, domain) if domain else []
        if delegation and request.header.rd:
            # A delegation to ourselves would make us ask ourselves for ever.
            theirs = [one for one in addresses_of(delegation, domains) if one != self._own_address]
            return self._ask(theirs, request, handler)
        return answer(request, domains, self._own_address) or self._ask(upstream_resolvers(), request, handler)

    def _ask(self, servers: list[str], request: DNSRecord, handler: DNSHandler) -> DNSRecord:
        """The first answer from one of ``servers``."""
        for server in servers:
            try:
                reply = request.send(
                    server,
                    53,
                    tcp=handler.protocol == "tcp",
                    timeout=UPSTREAM_SECONDS,
                    ipv6=ipaddress.ip_address(server).version == 6,
                )
                return DNSRecord.parse(reply)
            except (OSError, EOFError, ValueError):
                continue
        failed = request.reply(ra=1, aa=0)
        failed.header.rcode = RCODE.SERVFAIL
        return failed


class _QuietLog:
    """Suppresses dnslib's log of each query."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_args, **_kwargs: None


def serve(address: str, port: int, domains: Callable[[], list[Domain]]) -> list[DNSServer]:
    """Start the name server on UDP and TCP. Raises OSError if the port is in use."""
    resolver = ZoneResolver(domains, address)
    servers = []
    for tcp in (False, True):
        server = DNSServer(resolver, address=address, port=port, tcp=tcp, logger=_QuietLog())
        server.start_thread()
        servers.append(server)
    return servers
