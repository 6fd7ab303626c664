"""Tags, and the droplets that have them."""

from __future__ import annotations

from runner.local.api.call import Call, Document, Routes, not_found
from runner.local.api.droplets import TAG, find_droplet
from runner.local.cloud import unprocessable
from runner.local.store import Store


def tag_document(store: Store, name: str) -> Document:
    """A tag as the API shows it, with the number of its droplets."""
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
    """Add a tag; an existing one is kept."""
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
    """Remove a tag everywhere."""
    with call.cloud.changing() as store:
        name = _tag(store, call.params["tag"])
        store.account.tags.remove(name)
        for droplet in store.account.droplets:
            droplet.tags = [tag for tag in droplet.tags if tag != name]
    return 204, None


def tag_resources(call: Call) -> tuple[int, None]:
    """Add a tag to droplets."""
    return _change_tag(call, add=True)


def untag_resources(call: Call) -> tuple[int, None]:
    """Remove a tag from droplets."""
    return _change_tag(call, add=False)


def _change_tag(call: Call, *, add: bool) -> tuple[int, None]:
    resources = call.json().get("resources")
    if not isinstance(resources, list) or not all(isinstance(resource, dict) for resource in resources):
        raise unprocessable("Resources can't be blank")
    with call.cloud.changing() as store:
        name = _tag(store, call.params["tag"])
        wanted = [str(r.get("resource_id")) for r in resources if r.get("resource_type") == "droplet"]
        droplets = [find_droplet(store, int(number)) for number in wanted if number.isdigit()]
        for droplet in droplets:
            droplet.tags = [tag for tag in droplet.tags if tag != name] + ([name] if add else [])
    return 204, None


ROUTES: Routes = (
    ("GET", "/v2/tags", list_tags),
    ("POST", "/v2/tags", create_tag),
    ("GET", "/v2/tags/{tag}", get_tag),
    ("DELETE", "/v2/tags/{tag}", delete_tag),
    ("POST", "/v2/tags/{tag}/resources", tag_resources),
    ("DELETE", "/v2/tags/{tag}/resources", untag_resources),
)
