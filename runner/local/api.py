"""The DigitalOcean API v2, those parts that coursehub uses, over the machines of this host.

Shapes, status codes and messages follow the provider's published description; a contract test holds every answer
against it. https://docs.digitalocean.com/reference/api/digitalocean/
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import ipaddress
import json
import math
import re
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from runner.local.catalog import REGIONS, SIZES, image_document, image_slug, region_document
from runner.local.cloud import ApiError, Cloud, unprocessable
from runner.local.faults import Fault, Faults
from runner.local.images import SUITES
from runner.local.store import Action, Domain, Droplet, Key, Record, Store, now

Document = dict[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
# Resets a client's connection: ASGI has no message for that.
Cut = Callable[[tuple[str, int]], None]

RATE_LIMIT = 5000
DROPLET_LIMIT = 240
MAX_USER_DATA_BYTES = 64 * 1024
MAX_PAGE = 200
HOSTNAME = re.compile(r"^(?=.{1,63}$)[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$")
TAG = re.compile(r"^[A-Za-z0-9:_-]{1,255}$")
DOMAIN = re.compile(r"^(?=.{1,253}$)([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}$", re.IGNORECASE)
RECORD_TYPES = ("A", "AAAA", "CAA", "CNAME", "MX", "NS", "SRV", "TXT")
DROPLET_ACTIONS = ("reboot", "power_cycle", "shutdown", "power_off", "power_on", "resize", "rename")
NEEDS_ON = ("reboot", "power_cycle", "shutdown")
NEEDS_OFF = ("resize", "power_on")


def not_found() -> ApiError:
    """There is no such thing in the account."""
    return ApiError(404, "not_found", "The resource you were accessing could not be found.")


class Call:
    """One request as a handler sees it: who and what was asked, and the cloud."""

    def __init__(self, request: Request, body: bytes, cloud: Cloud, gateway: str, netmask: str) -> None:
        self.cloud = cloud
        self.gateway = gateway
        self.netmask = netmask
        self.params: Mapping[str, str] = request.path_params
        self.query: Mapping[str, str] = request.query_params
        self._url = str(request.url.replace(query=""))
        self._body = body

    def json(self) -> Document:
        """The body, which must be a JSON object."""
        try:
            document = json.loads(self._body or b"{}")
        except ValueError as error:
            raise ApiError(400, "bad_request", "The request body is not valid JSON.") from error
        if not isinstance(document, dict):
            raise ApiError(400, "bad_request", "The request body must be a JSON object.")
        return document

    def text(self, document: Document, key: str) -> str:
        """A text of the body that must be there."""
        value = document.get(key)
        if not isinstance(value, str) or not value.strip():
            raise unprocessable(f"{key.replace('_', ' ').capitalize()} can't be blank")
        return value

    def number(self, name: str) -> int:
        """A number in the path; a path with anything else in its place leads nowhere."""
        value = self.params[name]
        if not value.isdigit():
            raise not_found()
        return int(value)

    def page(self, key: str, items: list[Any], show: Callable[[Any], Document]) -> Document:
        """One page of a list with links to the others."""
        per_page = self._positive("per_page", 20, MAX_PAGE)
        page = self._positive("page", 1, 10**6)
        last = max(1, math.ceil(len(items) / per_page))
        shown = items[(page - 1) * per_page : page * per_page]
        pages: Document = {}
        if page > 1:
            pages |= {"first": self._page_url(1, per_page), "prev": self._page_url(page - 1, per_page)}
        if page < last:
            pages |= {"next": self._page_url(page + 1, per_page), "last": self._page_url(last, per_page)}
        links: Document = {"pages": pages} if pages else {}
        return {key: [show(item) for item in shown], "links": links, "meta": {"total": len(items)}}

    def _positive(self, name: str, default: int, most: int) -> int:
        value = self.query.get(name, str(default))
        if not value.isdigit() or not int(value) >= 1:
            raise ApiError(400, "bad_request", f"{name} must be a positive number.")
        return min(int(value), most)

    def _page_url(self, page: int, per_page: int) -> str:
        query = {**self.query, "page": str(page), "per_page": str(per_page)}
        return f"{self._url}?{urlencode(query)}"


Handler = Callable[[Call], tuple[int, Document | None]]


# --- account and keys


def get_account(_call: Call) -> tuple[int, Document]:
    """The account itself."""
    return 200, {
        "account": {
            "droplet_limit": DROPLET_LIMIT,
            "floating_ip_limit": 3,
            "email": "teacher@coursehub.test",
            "name": "Local cloud",
            "uuid": str(uuid.uuid5(uuid.NAMESPACE_DNS, "local.coursehub.test")),
            "email_verified": True,
            "status": "active",
            "status_message": "",
        }
    }


def list_keys(call: Call) -> tuple[int, Document]:
    """The account's SSH keys."""
    with call.cloud.reading() as store:
        return 200, call.page("ssh_keys", store.account.keys, Key.model_dump)


def create_key(call: Call) -> tuple[int, Document]:
    """Add a public key; the same key twice is refused, as by the provider."""
    body = call.json()
    name, public_key = call.text(body, "name"), call.text(body, "public_key").strip()
    fingerprint = key_fingerprint(public_key)
    with call.cloud.changing() as store:
        if any(key.fingerprint == fingerprint for key in store.account.keys):
            raise unprocessable("SSH Key is already in use on your account")
        key = Key(id=store.new_id(), name=name, public_key=public_key, fingerprint=fingerprint)
        store.account.keys.append(key)
        return 201, {"ssh_key": key.model_dump()}


def key_fingerprint(public_key: str) -> str:
    """The MD5 fingerprint by which the provider knows a key. Raises ApiError for what is no public key."""
    words = public_key.split()
    try:
        blob = base64.b64decode(words[1], validate=True)
        length = int.from_bytes(blob[:4], "big")
        if blob[4 : 4 + length].decode() != words[0]:
            raise ValueError(words[0])
    except (IndexError, ValueError, binascii.Error) as error:
        raise unprocessable("Key invalid, key should be of the format `ssh-rsa AAAA... comment`") from error
    # The provider's choice of name for a key, not a safeguard of ours.
    digest = hashlib.md5(blob, usedforsecurity=False).hexdigest()
    return ":".join(digest[i : i + 2] for i in range(0, 32, 2))


def _key(store: Store, identifier: object) -> Key:
    for key in store.account.keys:
        if str(identifier) in (str(key.id), key.fingerprint):
            return key
    raise not_found()


def get_key(call: Call) -> tuple[int, Document]:
    """One key, by number or fingerprint."""
    with call.cloud.reading() as store:
        return 200, {"ssh_key": _key(store, call.params["key"]).model_dump()}


def update_key(call: Call) -> tuple[int, Document]:
    """Rename a key."""
    name = call.text(call.json(), "name")
    with call.cloud.changing() as store:
        key = _key(store, call.params["key"])
        key.name = name
        return 200, {"ssh_key": key.model_dump()}


def delete_key(call: Call) -> tuple[int, None]:
    """Remove a key; machines that have it keep it."""
    with call.cloud.changing() as store:
        store.account.keys.remove(_key(store, call.params["key"]))
    return 204, None


# --- what can be ordered


def list_sizes(call: Call) -> tuple[int, Document]:
    """Sizes and their prices."""
    return 200, call.page("sizes", list(SIZES.values()), lambda size: size.document())


def list_regions(call: Call) -> tuple[int, Document]:
    """Regions."""
    return 200, call.page("regions", list(REGIONS), region_document)


def list_images(call: Call) -> tuple[int, Document]:
    """Images; there are no private and no application images."""
    slugs = list(SUITES)
    if call.query.get("private") == "true" or call.query.get("type") == "application":
        slugs = []
    return 200, call.page("images", slugs, image_document)


def get_image(call: Call) -> tuple[int, Document]:
    """One image, by slug or number."""
    slug = image_slug(call.params["image"])
    if slug is None:
        raise not_found()
    return 200, {"image": image_document(slug)}


# --- droplets


def droplet_document(call: Call, droplet: Droplet) -> Document:
    """A droplet as the API shows it."""
    size = SIZES[droplet.size]
    address = {
        "ip_address": call.cloud.backend.address(droplet.slot),
        "netmask": call.netmask,
        "gateway": call.gateway,
        "type": "public",
    }
    with call.cloud.reading() as store:
        locked = any(a.status == "in-progress" and a.droplet_id == droplet.id for a in store.account.actions)
    return {
        "id": droplet.id,
        "name": droplet.name,
        "memory": size.memory,
        "vcpus": size.vcpus,
        "disk": droplet.disk,
        "locked": locked,
        "status": droplet.status,
        "kernel": None,
        "created_at": droplet.created_at,
        "features": [],
        "backup_ids": [],
        "next_backup_window": None,
        "snapshot_ids": [],
        "image": image_document(droplet.image),
        "volume_ids": [],
        "size": size.document(),
        "size_slug": droplet.size,
        "networks": {"v4": [address], "v6": []},
        "region": region_document(droplet.region),
        "tags": droplet.tags,
    }


def _droplet(store: Store, droplet_id: int) -> Droplet:
    for droplet in store.account.droplets:
        if droplet.id == droplet_id:
            return droplet
    raise not_found()


def list_droplets(call: Call) -> tuple[int, Document]:
    """Droplets, all or those with a tag or a name."""
    tag, name = call.query.get("tag_name"), call.query.get("name")
    with call.cloud.reading() as store:
        found = [d for d in store.account.droplets if tag in (None, *d.tags) and name in (None, d.name)]
        return 200, call.page("droplets", found, lambda droplet: droplet_document(call, droplet))


def get_droplet(call: Call) -> tuple[int, Document]:
    """One droplet."""
    with call.cloud.reading() as store:
        return 200, {"droplet": droplet_document(call, _droplet(store, call.number("droplet")))}


def create_droplets(call: Call) -> tuple[int, Document]:
    """Order one droplet (``name``) or several (``names``); they boot in the background."""
    body = call.json()
    names = body["names"] if "names" in body else [call.text(body, "name")]
    if not isinstance(names, list) or not names or not all(isinstance(n, str) and HOSTNAME.match(n) for n in names):
        raise unprocessable("Only valid hostname characters are allowed. (a-z, A-Z, 0-9, . and -)")
    with call.cloud.changing() as store:
        if len(store.account.droplets) + len(names) > DROPLET_LIMIT:
            raise unprocessable("creating this/these droplet(s) will exceed your droplet limit")
        order = _order(store, body)
        droplets = [_new_droplet(store, name, order) for name in names]
        actions = [call.cloud.new_action(store, droplet, "create") for droplet in droplets]
    for action in actions:
        call.cloud.perform(action)
    links = [
        {"id": a.id, "rel": "create", "href": f"{call._url.rsplit('/droplets', 1)[0]}/actions/{a.id}"} for a in actions
    ]
    documents = [droplet_document(call, droplet) for droplet in droplets]
    shown: Document = {"droplets": documents} if "names" in body else {"droplet": documents[0]}
    return 202, {**shown, "links": {"actions": links}}


def _order(store: Store, body: Document) -> Document:
    """What all droplets of one order have in common. Raises ApiError for what cannot be ordered."""
    if body.get("size") not in SIZES:
        raise unprocessable("You specified an invalid size for Droplet creation.")
    image = image_slug(body.get("image"))
    if image is None:
        raise unprocessable("You specified an invalid image for Droplet creation.")
    region = body.get("region") or next(iter(REGIONS))
    if region not in REGIONS:
        raise unprocessable("You specified an invalid region for Droplet creation.")
    user_data = body.get("user_data") or ""
    if not isinstance(user_data, str) or len(user_data.encode()) > MAX_USER_DATA_BYTES:
        raise unprocessable("User data must be a text of at most 64 KB.")
    tags = body.get("tags") or []
    if not isinstance(tags, list) or not all(isinstance(tag, str) and TAG.match(tag) for tag in tags):
        raise unprocessable("Tags may contain letters, numbers, colons, dashes, and underscores.")
    keys = body.get("ssh_keys") or []
    try:
        public_keys = [_key(store, key).public_key for key in keys]
    except ApiError as error:
        wrong = ", ".join(map(str, keys))
        raise unprocessable(f"{wrong} are invalid key identifiers for Droplet creation.") from error
    for tag in tags:
        if tag not in store.account.tags:
            store.account.tags.append(tag)
    return {
        "size": body["size"],
        "disk": SIZES[body["size"]].disk,
        "image": image,
        "region": region,
        "tags": list(dict.fromkeys(tags)),
        "public_keys": public_keys,
        "user_data": user_data,
    }


def _new_droplet(store: Store, name: str, order: Document) -> Droplet:
    slot = store.free_slot()
    if slot is None:
        raise unprocessable("creating this/these droplet(s) will exceed your droplet limit")
    droplet = Droplet(id=store.new_id(), name=name, slot=slot, created_at=now(), **order)
    store.account.droplets.append(droplet)
    return droplet


def delete_droplet(call: Call) -> tuple[int, None]:
    """Destroy one droplet."""
    call.cloud.destroy(call.number("droplet"))
    return 204, None


def delete_droplets(call: Call) -> tuple[int, None]:
    """Destroy all droplets with a tag."""
    tag = call.query.get("tag_name")
    if not tag:
        raise unprocessable("Tag name can't be blank")
    with call.cloud.reading() as store:
        doomed = [droplet.id for droplet in store.account.droplets if tag in droplet.tags]
    for droplet_id in doomed:
        call.cloud.destroy(droplet_id)
    return 204, None


# --- actions


def action_document(action: Action) -> Document:
    """An action as the API shows it."""
    return {
        "id": action.id,
        "status": action.status,
        "type": action.type,
        "started_at": action.started_at,
        "completed_at": action.completed_at,
        "resource_id": action.droplet_id,
        "resource_type": "droplet",
        "region": region_document(action.region),
        "region_slug": action.region,
    }


def list_actions(call: Call) -> tuple[int, Document]:
    """All actions of the account, newest first."""
    with call.cloud.reading() as store:
        return 200, call.page("actions", store.account.actions[::-1], action_document)


def get_action(call: Call) -> tuple[int, Document]:
    """One action."""
    return 200, {"action": _show_action(call, None)}


def list_droplet_actions(call: Call) -> tuple[int, Document]:
    """The actions on a droplet, newest first."""
    with call.cloud.reading() as store:
        droplet = _droplet(store, call.number("droplet"))
        found = [action for action in store.account.actions[::-1] if action.droplet_id == droplet.id]
        return 200, call.page("actions", found, action_document)


def get_droplet_action(call: Call) -> tuple[int, Document]:
    """One action on a droplet."""
    return 200, {"action": _show_action(call, call.number("droplet"))}


def _show_action(call: Call, droplet_id: int | None) -> Document:
    wanted = call.number("action")
    with call.cloud.reading() as store:
        for action in store.account.actions:
            if action.id == wanted and droplet_id in (None, action.droplet_id):
                return action_document(action)
    raise not_found()


def create_droplet_action(call: Call) -> tuple[int, Document]:
    """Reboot, switch off or on, resize or rename a droplet."""
    body = call.json()
    kind = call.text(body, "type")
    if kind not in DROPLET_ACTIONS:
        raise unprocessable(f"You specified an invalid action type: {kind}")
    with call.cloud.changing() as store:
        droplet = _droplet(store, call.number("droplet"))
        if kind in NEEDS_ON and droplet.status == "off":
            raise unprocessable("Droplet is currently off. Please power it on to run this event.")
        if kind in NEEDS_OFF and droplet.status != "off":
            raise unprocessable("Droplet is currently on. Please power it off to run this event.")
        action = call.cloud.new_action(store, droplet, kind, _argument(droplet, kind, body))
        document = action_document(action)
    call.cloud.perform(action)
    return 201, {"action": document}


def _argument(droplet: Droplet, kind: str, body: Document) -> Document:
    if kind == "rename":
        if not isinstance(body.get("name"), str) or not HOSTNAME.match(body["name"]):
            raise unprocessable("Only valid hostname characters are allowed. (a-z, A-Z, 0-9, . and -)")
        return {"name": body["name"]}
    if kind == "resize":
        size = SIZES.get(str(body.get("size")))
        if size is None:
            raise unprocessable("You specified an invalid size for Droplet resize.")
        if size.disk < droplet.disk:
            raise unprocessable("This size is not available because it has a smaller disk.")
        # python-digitalocean sends the text "true".
        if body.get("disk") in (True, "true"):
            raise unprocessable("The local cloud cannot resize a disk. Resize with disk: false: memory and CPUs only.")
        return {"size": size.slug}
    return {}


# --- domains and records


def _domain(store: Store, name: str) -> Domain:
    for domain in store.account.domains:
        if domain.name == name.lower():
            return domain
    raise not_found()


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
    """Add a zone, with an address for it if one is given."""
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
        # The zone file of a new domain is not ready yet at the provider either.
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
    """The records of a zone, all or those of a name (whole) or a type."""
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
    return data.strip()


def _record(domain: Domain, record_id: int) -> Record:
    for record in domain.records:
        if record.id == record_id:
            return record
    raise not_found()


def get_record(call: Call) -> tuple[int, Document]:
    """One record."""
    with call.cloud.reading() as store:
        domain = _domain(store, call.params["domain"])
        return 200, {"domain_record": _record(domain, call.number("record")).model_dump()}


def update_record(call: Call) -> tuple[int, Document]:
    """Change those fields of a record that are given."""
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


# --- tags


def tag_document(store: Store, name: str) -> Document:
    """A tag as the API shows it, with the number of droplets that carry it."""
    count = sum(name in droplet.tags for droplet in store.account.droplets)
    empty = {"count": 0}
    resources = {"count": count, "droplets": {"count": count}, "images": empty, "volumes": empty,
                 "volume_snapshots": empty, "databases": empty}  # fmt: skip
    return {"name": name, "resources": resources}


def _tag(store: Store, name: str) -> str:
    if name not in store.account.tags:
        raise not_found()
    return name


def list_tags(call: Call) -> tuple[int, Document]:
    """The account's tags."""
    with call.cloud.reading() as store:
        return 200, call.page("tags", store.account.tags, lambda name: tag_document(store, name))


def create_tag(call: Call) -> tuple[int, Document]:
    """Add a tag; one that is there stays."""
    name = call.text(call.json(), "name")
    if not TAG.match(name):
        raise unprocessable("Tags may contain letters, numbers, colons, dashes, and underscores.")
    with call.cloud.changing() as store:
        if name not in store.account.tags:
            store.account.tags.append(name)
        return 201, {"tag": tag_document(store, name)}


def get_tag(call: Call) -> tuple[int, Document]:
    """One tag."""
    with call.cloud.reading() as store:
        return 200, {"tag": tag_document(store, _tag(store, call.params["tag"]))}


def delete_tag(call: Call) -> tuple[int, None]:
    """Remove a tag from everything."""
    with call.cloud.changing() as store:
        name = _tag(store, call.params["tag"])
        store.account.tags.remove(name)
        for droplet in store.account.droplets:
            droplet.tags = [tag for tag in droplet.tags if tag != name]
    return 204, None


def tag_resources(call: Call) -> tuple[int, None]:
    """Put a tag on droplets."""
    return _change_tag(call, add=True)


def untag_resources(call: Call) -> tuple[int, None]:
    """Take a tag off droplets."""
    return _change_tag(call, add=False)


def _change_tag(call: Call, *, add: bool) -> tuple[int, None]:
    resources = call.json().get("resources")
    if not isinstance(resources, list) or not all(isinstance(resource, dict) for resource in resources):
        raise unprocessable("Resources can't be blank")
    with call.cloud.changing() as store:
        name = _tag(store, call.params["tag"])
        wanted = [str(r.get("resource_id")) for r in resources if r.get("resource_type") == "droplet"]
        droplets = [_droplet(store, int(number)) for number in wanted if number.isdigit()]
        for droplet in droplets:
            droplet.tags = [tag for tag in droplet.tags if tag != name] + ([name] if add else [])
    return 204, None


ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "/v2/account", get_account),
    ("GET", "/v2/account/keys", list_keys),
    ("POST", "/v2/account/keys", create_key),
    ("GET", "/v2/account/keys/{key}", get_key),
    ("PUT", "/v2/account/keys/{key}", update_key),
    ("DELETE", "/v2/account/keys/{key}", delete_key),
    ("GET", "/v2/sizes", list_sizes),
    ("GET", "/v2/regions", list_regions),
    ("GET", "/v2/images", list_images),
    ("GET", "/v2/images/{image}", get_image),
    ("GET", "/v2/droplets", list_droplets),
    ("POST", "/v2/droplets", create_droplets),
    ("DELETE", "/v2/droplets", delete_droplets),
    ("GET", "/v2/droplets/{droplet}", get_droplet),
    ("DELETE", "/v2/droplets/{droplet}", delete_droplet),
    ("GET", "/v2/droplets/{droplet}/actions", list_droplet_actions),
    ("POST", "/v2/droplets/{droplet}/actions", create_droplet_action),
    ("GET", "/v2/droplets/{droplet}/actions/{action}", get_droplet_action),
    ("GET", "/v2/actions", list_actions),
    ("GET", "/v2/actions/{action}", get_action),
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
    ("GET", "/v2/tags", list_tags),
    ("POST", "/v2/tags", create_tag),
    ("GET", "/v2/tags/{tag}", get_tag),
    ("DELETE", "/v2/tags/{tag}", delete_tag),
    ("POST", "/v2/tags/{tag}/resources", tag_resources),
    ("DELETE", "/v2/tags/{tag}/resources", untag_resources),
)


class Guard:
    """What comes before every handler: faults on purpose, the token, and headers on every answer."""

    def __init__(self, app: Starlette, token: str, faults: Faults, cut: Cut) -> None:
        self._app = app
        self._token = token
        self._faults = faults
        self._cut = cut
        self._window: tuple[int, int] = (0, 0)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # The provider answers with and without the slash; python-digitalocean mixes both.
        path = scope["path"].rstrip("/") or "/"
        scope = {**scope, "path": path, "raw_path": path.encode()}
        headers = {**self._rate_headers(), "x-request-id": str(uuid.uuid4())}
        given = Request(scope).headers.get("authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {self._token}".encode()):
            await error_response(ApiError(401, "Unauthorized", "Unable to authenticate you"), headers)(
                scope, receive, send
            )
            return
        fault = self._faults.match(scope["method"], path)
        if fault is not None and await self._misbehave(fault, scope, receive, send):
            return
        await self._app(scope, receive, _with_headers(send, headers))

    async def _misbehave(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> bool:
        """Whether that was the answer; after a mere delay the true one follows."""
        await asyncio.sleep(fault.delay_s)
        if fault.status is None and not fault.reset:
            return False
        if fault.after:
            await self._app(scope, receive, _swallow)
        if fault.reset:
            self._cut(scope["client"])
            return True
        text = fault.body if isinstance(fault.body, str) else json.dumps(fault.body or {})
        kind = "text/html" if isinstance(fault.body, str) else "application/json"
        answer = Response(text, fault.status or 500, headers={"content-type": kind, **fault.headers})
        await answer(scope, receive, send)
        return True

    def _rate_headers(self) -> dict[str, str]:
        hour = int(time.time()) // 3600
        used = self._window[1] + 1 if self._window[0] == hour else 1
        self._window = (hour, used)
        return {
            "ratelimit-limit": str(RATE_LIMIT),
            "ratelimit-remaining": str(max(RATE_LIMIT - used, 0)),
            "ratelimit-reset": str((hour + 1) * 3600),
        }


async def _swallow(_message: MutableMapping[str, Any]) -> None:
    """Where the answer of a request goes whose client shall not get it."""


def _with_headers(send: Send, headers: dict[str, str]) -> Send:
    async def wrapped(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            extra = [(name.encode(), value.encode()) for name, value in headers.items()]
            message = {**message, "headers": [*message.get("headers", []), *extra]}
        await send(message)

    return wrapped


def error_response(error: ApiError, headers: dict[str, str] | None = None) -> JSONResponse:
    """An error in the provider's shape."""
    request_id = (headers or {}).get("x-request-id", str(uuid.uuid4()))
    body = {"id": error.id, "message": str(error), "request_id": request_id}
    return JSONResponse(body, error.status, headers=headers)


def make_app(cloud: Cloud, *, token: str, gateway: str, netmask: str, faults: Faults, cut: Cut) -> Guard:
    """The ASGI application of one cloud."""

    def endpoint(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            call = Call(request, await request.body(), cloud, gateway, netmask)
            try:
                status, document = await run_in_threadpool(handler, call)
            except ApiError as error:
                return error_response(error)
            return Response(status_code=status) if document is None else JSONResponse(document, status)

        return answer

    def plain_error(_request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        if status in (404, 405):
            return error_response(not_found())
        return error_response(ApiError(status, "server_error", "Unexpected server-side error"))

    routes = [Route(path, endpoint(handler), methods=[method]) for method, path, handler in ROUTES]
    app = Starlette(routes=routes, exception_handlers={HTTPException: plain_error, Exception: plain_error})
    return Guard(app, token, faults, cut)
