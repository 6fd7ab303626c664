"""Firewalls: rules for the incoming and outgoing traffic of droplets."""

from __future__ import annotations

import re
import uuid

from runner.local.api.call import Call, Document, Routes, first
from runner.local.api.droplets import find_droplet
from runner.local.cloud import ApiError, unprocessable
from runner.local.store import Firewall, Store, now

NAME = re.compile(r"^[a-zA-Z0-9][a-zA-Z0-9.-]+$")
PORTS = re.compile(r"^(all|\d{1,5}(-\d{1,5})?)$")


def firewall_document(firewall: Firewall) -> Document:
    """A firewall as the API shows it. What it lets in is enforced by ``runner.local.walls``; what goes out is not."""
    return {**firewall.model_dump(), "status": "succeeded", "pending_changes": []}


def _find(store: Store, wanted: str) -> Firewall:
    return first(firewall for firewall in store.account.firewalls if firewall.id == wanted)


def list_firewalls(call: Call) -> tuple[int, Document]:
    """The account's firewalls."""
    with call.cloud.reading() as store:
        return 200, call.page("firewalls", store.account.firewalls, firewall_document)


def create_firewall(call: Call) -> tuple[int, Document]:
    """Add a firewall; a name that exists already is refused."""
    body = call.json()
    with call.cloud.changing() as store:
        checked = _checked(store, body)
        if any(one.name == checked["name"] for one in store.account.firewalls):
            raise ApiError(409, "conflict", "duplicate name")
        firewall = Firewall(id=str(uuid.uuid4()), created_at=now(), **checked)
        store.account.firewalls.append(firewall)
        return 202, {"firewall": firewall_document(firewall)}


def get_firewall(call: Call) -> tuple[int, Document]:
    """One firewall."""
    with call.cloud.reading() as store:
        return 200, {"firewall": firewall_document(_find(store, call.params["firewall"]))}


def update_firewall(call: Call) -> tuple[int, Document]:
    """Replace a firewall completely; fields that are not given are removed."""
    body = call.json()
    with call.cloud.changing() as store:
        firewall = _find(store, call.params["firewall"])
        for key, value in _checked(store, body).items():
            setattr(firewall, key, value)
        return 200, {"firewall": firewall_document(firewall)}


def delete_firewall(call: Call) -> tuple[int, None]:
    """Remove a firewall."""
    with call.cloud.changing() as store:
        store.account.firewalls.remove(_find(store, call.params["firewall"]))
    return 204, None


def _checked(store: Store, body: Document) -> Document:
    name = body.get("name")
    if not isinstance(name, str) or not NAME.match(name):
        raise unprocessable("firewall name must be alphanumeric and may contain dashes and periods")
    inbound, outbound = body.get("inbound_rules") or [], body.get("outbound_rules") or []
    if not inbound and not outbound:
        raise unprocessable("must have at least one rule")
    for rules, side in ((inbound, "sources"), (outbound, "destinations")):
        if not isinstance(rules, list) or not all(isinstance(rule, dict) and _right(rule, side) for rule in rules):
            raise unprocessable(f"each rule has protocol, ports and {side}")
    numbers = body.get("droplet_ids") or []
    if not isinstance(numbers, list) or not all(isinstance(number, int) for number in numbers):
        raise unprocessable("droplet_ids must be a list of numbers")
    for number in numbers:
        find_droplet(store, number)
    tags = body.get("tags") or []
    return {"name": name, "inbound_rules": inbound, "outbound_rules": outbound, "droplet_ids": numbers, "tags": tags}


def _right(rule: Document, side: str) -> bool:
    ports = rule.get("ports")
    return (
        rule.get("protocol") in ("tcp", "udp", "icmp")
        and isinstance(ports, str)
        and bool(PORTS.match(ports))
        and isinstance(rule.get(side), dict)
    )


ROUTES: Routes = (
    ("GET", "/v2/firewalls", list_firewalls),
    ("POST", "/v2/firewalls", create_firewall),
    ("GET", "/v2/firewalls/{firewall}", get_firewall),
    ("PUT", "/v2/firewalls/{firewall}", update_firewall),
    ("DELETE", "/v2/firewalls/{firewall}", delete_firewall),
)
