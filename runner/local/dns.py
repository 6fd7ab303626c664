"""The name server of the cloud: the account's zones from its records, everything else from the host's resolvers."""

from __future__ import annotations

from collections.abc import Callable

from dnslib import AAAA, CAA, CNAME, MX, NS, QTYPE, RCODE, RD, RR, SOA, SRV, TXT, A, DNSRecord
from dnslib.server import BaseResolver, DNSHandler, DNSServer

from runner.local.network import upstream_resolvers
from runner.local.store import Domain, Record

UPSTREAM_SECONDS = 3.0
# Answers about our own zones change when a test says so; nobody shall remember the old ones for long.
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
    """The record's whole name, without the last dot, in lower case."""
    name = domain.name if record.name == "@" else f"{record.name}.{domain.name}"
    return name.lower()


def answer(request: DNSRecord, domains: list[Domain]) -> DNSRecord | None:
    """The reply about one of our zones; None for a name that is in none of them.

    NXDOMAIN for a name with no record, an empty answer for one without a record of this type (RFC 2308);
    a wildcard counts where no record has the name itself (RFC 4592). An alias is followed as far as our zones go.
    """
    name = str(request.q.qname).rstrip(".").lower()
    domain = _zone_of(name, domains)
    if domain is None:
        return None
    reply = request.reply(aa=1, ra=1)
    records = _records_of(name, domain)
    _add_answers(reply, name, QTYPE[request.q.qtype], domains)
    if not reply.rr:
        known = bool(records) or name == domain.name or _has_names_below(name, domain)
        reply.header.rcode = RCODE.NOERROR if known else RCODE.NXDOMAIN
        reply.add_auth(_soa(domain))
    return reply


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
    """What a record points at; "@" stands for the domain in the API's records."""
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
    rdata = SOA(f"ns1.{domain.name}", f"hostmaster.{domain.name}", (1, 60, 60, 600, MAX_TTL))
    return RR(domain.name, QTYPE.SOA, ttl=MAX_TTL, rdata=rdata)


class ZoneResolver(BaseResolver):  # type: ignore[misc]
    """Answers from the account, or asks the host's resolvers by the way the question came (UDP or TCP)."""

    def __init__(self, domains: Callable[[], list[Domain]]) -> None:
        self._domains = domains

    def resolve(self, request: DNSRecord, handler: DNSHandler) -> DNSRecord:
        """The reply to one question."""
        return answer(request, self._domains()) or self._forward(request, handler)

    def _forward(self, request: DNSRecord, handler: DNSHandler) -> DNSRecord:
        for server in upstream_resolvers():
            try:
                family_v6 = ":" in server
                reply = request.send(
                    server, 53, tcp=handler.protocol == "tcp", timeout=UPSTREAM_SECONDS, ipv6=family_v6
                )
                return DNSRecord.parse(reply)
            except (OSError, EOFError, ValueError):
                continue
        failed = request.reply(ra=1, aa=0)
        failed.header.rcode = RCODE.SERVFAIL
        return failed


class _QuietLog:
    """dnslib prints each query unless it is given something that does not."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_args, **_kwargs: None


def serve(address: str, port: int, domains: Callable[[], list[Domain]]) -> list[DNSServer]:
    """Start the name server on UDP and TCP. Raises OSError when the port is taken."""
    resolver = ZoneResolver(domains)
    servers = []
    for tcp in (False, True):
        server = DNSServer(resolver, address=address, port=port, tcp=tcp, logger=_QuietLog())
        server.start_thread()
        servers.append(server)
    return servers
