"""Domains and their records."""

from __future__ import annotations

import ipaddress
import re

from runner.local.api.call import Call, Document, Routes, first
from runner.local.cloud import unprocessable
from runner.local.store import Domain, Record, Store

DOMAIN = re.compile(r"^(?=.{1,253}$)([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}$", re.IGNORECASE)
#: Record types whose data is a name. The API accepts it with a final dot and lists it without.
NAMES = ("CAA", "CNAME", "MX", "NS", "SRV")
#: Minimum TTL in seconds.
LEAST_TTL = 30
RECORD_TYPES = ("A", "AAAA", "CAA", "CNAME", "MX", "NS", "SRV", "TXT")


def _domain(store: Store, name: str) -> Domain:
    return first(domain for domain in store.account.domains if domain.name == name.lower())


def domain_document(domain: Domain) -> Document:
    """A domain as the API shows it, with its zone file."""
    lines = [f"$ORIGIN {domain.name}.", "$TTL 1800"]
    lines += [f"{record.name} {record.ttl} IN {record.type} {record.data}" for record in domain.records]
    return {"name": domain.name, "ttl": 1800, "zone_file": "\n".join(lines) + "\n"}


def list_domains(call: Call) -> tuple[int, Document]:
    """The account's zones."""
    with call.cloud.reading() as store:
        return 200, call.page("domains", store.account.domains, domain_document)


def create_domain(call: Call) -> tuple[int, Document]:
    """Add a zone, and an address record if an address is given."""
    body = call.json()
    name = call.text(body, "name").lower()
    if not DOMAIN.match(name):
        raise unprocessable("Name is not a valid domain name")
    with call.cloud.changing() as store:
        if any(domain.name == name for domain in store.account.domains):
            raise unprocessable(f"domain '{name}': name already exists")
        address = body.get("ip_address")
        data = _record_data("A", address) if address else None
        domain = store.add_domain(name)
        if data:
            domain.records.append(Record(id=store.new_id(), type="A", name="@", data=data))
        # The provider does not have a new domain's zone file immediately either.
        return 201, {"domain": {**domain_document(domain), "zone_file": None}}


def get_domain(call: Call) -> tuple[int, Document]:
    """One zone."""
    with call.cloud.reading() as store:
        return 200, {"domain": domain_document(_domain(store, call.params["domain"]))}


def delete_domain(call: Call) -> tuple[int, None]:
    """Remove a zone and its records."""
    with call.cloud.changing() as store:
        store.account.domains.remove(_domain(store, call.params["domain"]))
    return 204, None


def list_records(call: Call) -> tuple[int, Document]:
    """The records of a zone; optionally only those with a (full) name or a type."""
    kind, name = call.query.get("type"), call.query.get("name")
    with call.cloud.reading() as store:
        domain = _domain(store, call.params["domain"])
        relative = None if name is None else _record_name(name, domain.name)
        found = [r for r in domain.records if kind in (None, r.type) and relative in (None, r.name)]
        return 200, call.page("domain_records", found, Record.model_dump)


def create_record(call: Call) -> tuple[int, Document]:
    """Add a record."""
    body = call.json()
    kind = body.get("type")
    if kind not in RECORD_TYPES:
        raise unprocessable("Type is not a valid record type")
    with call.cloud.changing() as store:
        domain = _domain(store, call.params["domain"])
        record = Record(
            id=store.new_id(),
            type=kind,
            name=_record_name(call.text(body, "name"), domain.name),
            data=_record_data(kind, body.get("data")),
            **_record_numbers(body),
        )
        if kind == "CNAME" and any(r.name == record.name for r in domain.records):
            raise unprocessable("CNAME records cannot share a name with other records")
        domain.records.append(record)
        return 201, {"domain_record": record.model_dump()}


def _record_numbers(body: Document) -> Document:
    given: Document = {}
    for name in ("priority", "port", "ttl", "weight", "flags"):
        if body.get(name) is not None:
            if not isinstance(body[name], int) or isinstance(body[name], bool) or body[name] < 0:
                raise unprocessable(f"{name.capitalize()} must be a number")
            given[name] = body[name]
    if given.get("ttl", LEAST_TTL) < LEAST_TTL:
        raise unprocessable(f"TTL must be at least {LEAST_TTL} seconds")
    if isinstance(body.get("tag"), str):
        given["tag"] = body["tag"]
    return given


def _record_name(name: str, domain: str) -> str:
    name = name.lower().rstrip(".")
    if name == domain:
        return "@"
    return name.removesuffix(f".{domain}")


def _record_data(kind: str, data: object) -> str:
    if not isinstance(data, str) or not data.strip():
        raise unprocessable("Data can't be blank")
    try:
        if kind == "A":
            ipaddress.IPv4Address(data)
        if kind == "AAAA":
            ipaddress.IPv6Address(data)
    except ValueError as error:
        raise unprocessable(f"IP address did not match IPv{4 if kind == 'A' else 6} format.") from error
    data = data.strip()
    if kind in NAMES and data != "@":
        if not data.endswith("."):
            raise unprocessable("Data needs to end with a dot (.)")
        data = data.rstrip(".")
    return data


def _record(domain: Domain, record_id: int) -> Record:
    return first(record for record in domain.records if record.id == record_id)


def get_record(call: Call) -> tuple[int, Document]:
    """One record."""
    with call.cloud.reading() as store:
        domain = _domain(store, call.params["domain"])
        return 200, {"domain_record": _record(domain, call.number("record")).model_dump()}


def update_record(call: Call) -> tuple[int, Document]:
    """Change the given fields of a record."""
    body = call.json()
    with call.cloud.changing() as store:
        domain = _domain(store, call.params["domain"])
        record = _record(domain, call.number("record"))
        kind = body.get("type") or record.type
        if kind not in RECORD_TYPES:
            raise unprocessable("Type is not a valid record type")
        data = _record_data(kind, body["data"]) if body.get("data") is not None else record.data
        numbers = _record_numbers(body)
        name = _record_name(body["name"], domain.name) if isinstance(body.get("name"), str) else record.name
        for field, value in {"type": kind, "data": data, "name": name, **numbers}.items():
            setattr(record, field, value)
        return 200, {"domain_record": record.model_dump()}


def delete_record(call: Call) -> tuple[int, None]:
    """Remove a record."""
    with call.cloud.changing() as store:
        domain = _domain(store, call.params["domain"])
        domain.records.remove(_record(domain, call.number("record")))
    return 204, None


ROUTES: Routes = (
    ("GET", "/v2/domains", list_domains),
    ("POST", "/v2/domains", create_domain),
    ("GET", "/v2/domains/{domain}", get_domain),
    ("DELETE", "/v2/domains/{domain}", delete_domain),
    ("GET", "/v2/domains/{domain}/records", list_records),
    ("POST", "/v2/domains/{domain}/records", create_record),
    ("GET", "/v2/domains/{domain}/records/{record}", get_record),
    ("PUT", "/v2/domains/{domain}/records/{record}", update_record),
    ("PATCH", "/v2/domains/{domain}/records/{record}", update_record),
    ("DELETE", "/v2/domains/{domain}/records/{record}", delete_record),
)
