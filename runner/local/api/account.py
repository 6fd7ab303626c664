"""The account, its SSH keys, and what can be ordered."""

from __future__ import annotations

import base64
import binascii
import hashlib
import uuid

from runner.local.api.call import Call, Document, Routes, not_found
from runner.local.catalog import REGIONS, SIZES, image_document, image_slug, region_document
from runner.local.cloud import unprocessable
from runner.local.images import SUITES
from runner.local.store import Key, Store

DROPLET_LIMIT = 240


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
    """Add a public key. The same key is refused the second time, as the provider does."""
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
    """The MD5 fingerprint by which the provider identifies a key. Raises ApiError if it is not a public key."""
    words = public_key.split()
    try:
        blob = base64.b64decode(words[1], validate=True)
        length = int.from_bytes(blob[:4], "big")
        if blob[4 : 4 + length].decode() != words[0]:
            raise ValueError(words[0])
    except (IndexError, ValueError, binascii.Error) as error:
        raise unprocessable("Key invalid, key should be of the format `ssh-rsa AAAA... comment`") from error
    # The provider uses MD5 only as a key's name, not for security.
    digest = hashlib.md5(blob, usedforsecurity=False).hexdigest()
    return ":".join(digest[i : i + 2] for i in range(0, 32, 2))


def find_key(store: Store, identifier: object) -> Key:
    """A key of the account, by number or fingerprint."""
    for key in store.account.keys:
        if str(identifier) in (str(key.id), key.fingerprint):
            return key
    raise not_found()


def get_key(call: Call) -> tuple[int, Document]:
    """One key, by number or fingerprint."""
    with call.cloud.reading() as store:
        return 200, {"ssh_key": find_key(store, call.params["key"]).model_dump()}


def update_key(call: Call) -> tuple[int, Document]:
    """Rename a key."""
    name = call.text(call.json(), "name")
    with call.cloud.changing() as store:
        key = find_key(store, call.params["key"])
        key.name = name
        return 200, {"ssh_key": key.model_dump()}


def delete_key(call: Call) -> tuple[int, None]:
    """Remove a key; machines that have it keep it."""
    with call.cloud.changing() as store:
        store.account.keys.remove(find_key(store, call.params["key"]))
    return 204, None


def list_sizes(call: Call) -> tuple[int, Document]:
    """Sizes and their prices."""
    return 200, call.page("sizes", list(SIZES.values()), lambda size: size.document())


def list_regions(call: Call) -> tuple[int, Document]:
    """Regions."""
    return 200, call.page("regions", list(REGIONS), region_document)


def list_images(call: Call) -> tuple[int, Document]:
    """Images; there are no private images or application images."""
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


ROUTES: Routes = (
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
)
