"""Droplets and what happens to them."""

from __future__ import annotations

import re

from runner.local.api.account import DROPLET_LIMIT, find_key
from runner.local.api.call import Call, Document, Routes, first, not_found
from runner.local.catalog import REGIONS, SIZES, image_document, image_slug, network_id, region_document
from runner.local.cloud import ApiError, unprocessable
from runner.local.store import Action, Droplet, Store, now

MAX_USER_DATA_BYTES = 64 * 1024
HOSTNAME = re.compile(r"^(?=.{1,255}$)[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$")
TAG = re.compile(r"^[A-Za-z0-9:_-]{1,255}$")
DROPLET_ACTIONS = ("reboot", "power_cycle", "shutdown", "power_off", "power_on", "resize", "rename")
#: Boolean options of an order; text instead of true is refused.
SWITCHES = ("backups", "ipv6", "monitoring", "private_networking", "with_droplet_agent", "public_networking")
NEEDS_ON = ("reboot", "power_cycle", "shutdown")
NEEDS_OFF = ("resize", "power_on")


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
        busy = any(a.status == "in-progress" and a.droplet_id == droplet.id for a in store.account.actions)
    locked = busy or call.cloud.manners.is_pending(droplet)
    return {
        "id": droplet.id,
        "name": droplet.name,
        "memory": size.memory,
        "vcpus": size.vcpus,
        "disk": droplet.disk,
        "disk_info": [{"type": "local", "size": {"amount": droplet.disk, "unit": "gib"}}],
        "locked": locked,
        "status": droplet.status,
        "kernel": None,
        "created_at": droplet.created_at,
        "features": [
            *(["monitoring"] if droplet.monitoring else []),
            *(["ipv6"] if droplet.ipv6 else []),
            *("droplet_agent", "private_networking"),
        ],
        "backup_ids": [],
        "next_backup_window": None,
        "snapshot_ids": [],
        "image": image_document(droplet.image),
        "volume_ids": [],
        "size": size.document(),
        "size_slug": droplet.size,
        "networks": {"v4": [address], "v6": _v6(call, droplet)} if call.cloud.manners.has_address(droplet) else {},
        "region": region_document(droplet.region),
        "tags": call.cloud.manners.tags(droplet),
        "vpc_uuid": network_id(droplet.region),
    }


def _v6(call: Call, droplet: Droplet) -> list[Document]:
    found = call.cloud.backend.address6(droplet.slot) if droplet.ipv6 else None
    return [{"ip_address": found[0], "netmask": 64, "gateway": found[1], "type": "public"}] if found else []


def find_droplet(store: Store, droplet_id: int) -> Droplet:
    """A droplet of the account."""
    return first(droplet for droplet in store.account.droplets if droplet.id == droplet_id)


def list_droplets(call: Call) -> tuple[int, Document]:
    """Droplets; optionally only those with a tag or a name."""
    tag, name = call.query.get("tag_name"), call.query.get("name")
    with call.cloud.reading() as store:
        manners = call.cloud.manners
        listed = manners.listed(store.account.droplets)
        found = [d for d in listed if tag in (None, *manners.tags(d)) and name in (None, d.name)]
        return 200, call.page("droplets", found, lambda droplet: droplet_document(call, droplet))


def get_droplet(call: Call) -> tuple[int, Document]:
    """One droplet."""
    with call.cloud.reading() as store:
        return 200, {"droplet": droplet_document(call, find_droplet(store, call.number("droplet")))}


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
        for droplet in droplets:
            call.cloud.manners.made(droplet)
    for action in actions:
        call.cloud.perform(action)
    links = [
        {"id": a.id, "rel": "create", "href": f"{call.url.rsplit('/droplets', 1)[0]}/actions/{a.id}"} for a in actions
    ]
    documents = [droplet_document(call, droplet) for droplet in droplets]
    shown: Document = {"droplets": documents} if "names" in body else {"droplet": documents[0]}
    return 202, {**shown, "links": {"actions": links}}


def _order(store: Store, body: Document) -> Document:
    """The common part of all droplets of one order. Raises ApiError for an invalid order."""
    if body.get("size") not in SIZES:
        raise unprocessable("You specified an invalid size for Droplet creation.")
    image = image_slug(body.get("image"))
    if image is None:
        raise unprocessable("You specified an invalid image for Droplet creation.")
    region = body.get("region") or next(iter(REGIONS))
    if region not in REGIONS:
        raise unprocessable("You specified an invalid region for Droplet creation.")
    user_data = "" if body.get("user_data") is None else body["user_data"]
    if not isinstance(user_data, str) or len(user_data.encode()) > MAX_USER_DATA_BYTES:
        raise unprocessable("User data must be a text of at most 64 KB.")
    tags = body.get("tags") or []
    if not isinstance(tags, list) or not all(isinstance(tag, str) and TAG.match(tag) for tag in tags):
        raise unprocessable("Tags may contain letters, numbers, colons, dashes, and underscores.")
    for switch in SWITCHES:
        if not isinstance(body.get(switch, False), bool):
            raise unprocessable(f"{switch} must be true or false.")
    keys = body.get("ssh_keys") or []
    if not isinstance(keys, list) or not all(isinstance(key, int | str) for key in keys):
        raise unprocessable("SSH keys must be a list of numbers or fingerprints.")
    try:
        public_keys = [find_key(store, key).public_key for key in keys]
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
        "monitoring": body.get("monitoring", False),
        "ipv6": body.get("ipv6", False),
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
        droplet = find_droplet(store, call.number("droplet"))
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
    """Reboot, turn off or on, resize or rename a droplet."""
    body = call.json()
    kind = call.text(body, "type")
    if kind not in DROPLET_ACTIONS:
        raise unprocessable(f"You specified an invalid action type: {kind}")
    with call.cloud.changing() as store:
        droplet = find_droplet(store, call.number("droplet"))
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


ROUTES: Routes = (
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
)
