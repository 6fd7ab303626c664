"""Check that DNS sends the CA's question about a name to this server (DNS-01, RFC 8555, 8.4)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from coursehub_cert.names import LIFETIME, Dns, lookup, resolver

CHALLENGE = "_acme-challenge."


def advice(base: str) -> str:
    """Return the record that a name needs in DNS, as the end of an error message."""
    return f"check the NS record {CHALLENGE}{base}, which has to say {base}"


def look(
    names: Iterable[str],
    own: frozenset[str],
    servers: Callable[[str], frozenset[str]] | None = None,
    resolve: Callable[[str], frozenset[str]] | None = None,
) -> Dns:
    """Return the names that DNS-01 can prove: those whose `_acme-challenge` is delegated to this server.

    `*.NAME` and NAME have the same challenge name. If the zone's name servers cannot be reached, as behind some
    firewalls, the names count as correct: then the CA decides.
    """
    verdicts: dict[str, str] = {}
    here: list[str] = []
    elsewhere: dict[str, str] = {}
    for name in names:
        base = name.removeprefix("*.")
        if base not in verdicts:
            verdicts[base] = _trouble(base, own, servers or name_servers, resolve or lookup)
        if verdicts[base]:
            elsewhere[name] = verdicts[base]
        else:
            here.append(name)
    return Dns(tuple(here), elsewhere)


def _trouble(
    base: str,
    own: frozenset[str],
    servers: Callable[[str], frozenset[str]],
    resolve: Callable[[str], frozenset[str]],
) -> str:
    """Return what is wrong with the delegation of a name's challenges, with the record to check; empty if nothing."""
    wanted = advice(base)
    try:
        found = servers(f"{CHALLENGE}{base}")
    except OSError:
        return ""
    if not found:
        return f"its challenges are not delegated to this server: {wanted}"
    try:
        addresses = {server: resolve(server) for server in sorted(found)}
    except OSError as error:
        return f"the name server of its challenges cannot be found ({error}): {wanted}"
    for server, places in addresses.items():
        strangers = sorted(places - own)
        if strangers:
            return f"its challenges are delegated to {server} at {', '.join(strangers)}, not here: {wanted}"
        if not places:
            return f"its challenges are delegated to {server}, which has no address: {wanted}"
    return ""


def name_servers(name: str) -> frozenset[str]:
    """Return the name servers to which the zone above `name` delegates it; none if it does not.

    This asks that zone's own servers: a resolver would forward the question to the delegated server, which does not
    answer now. Raises OSError if they do not answer.
    """
    import dns.exception
    import dns.flags
    import dns.message
    import dns.name
    import dns.query
    import dns.rcode
    import dns.rdatatype
    import dns.resolver

    asked = resolver()
    try:
        zone = dns.resolver.zone_for_name(dns.name.from_text(name).parent(), resolver=asked)
        theirs = [record.target.to_text() for record in asked.resolve(zone, "NS")]
    except dns.exception.DNSException as error:
        raise OSError(f"no zone of {name} found: {type(error).__name__}") from None
    question = dns.message.make_query(name, "NS")
    question.flags &= ~dns.flags.RD
    for server in theirs:
        for address in sorted(lookup(server), key=lambda text: (":" in text, text)):
            try:
                answer = dns.query.udp(question, address, timeout=LIFETIME / 2)
            except (OSError, dns.exception.DNSException):
                continue
            # Other codes say nothing about a delegation: the server no longer serves the zone, or has a problem.
            if answer.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
                continue
            return frozenset(
                record.target.to_text().rstrip(".").lower()
                for section in (answer.answer, answer.authority)
                for records in section
                if records.rdtype == dns.rdatatype.NS and records.name == dns.name.from_text(name)
                for record in records
            )
    raise OSError(f"the name servers of {zone} do not answer")
