"""Domains, their records, and tags of the local cloud, over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.local_api import Api
from tests.support.local_orders import (
    api,  # noqa: F401
    assert_error,
    create,
)

pytestmark = pytest.mark.unit


def test_a_domain_and_its_records(api: Api) -> None:
    assert api.ok("GET", "domains/coursehub.test")["domain"]["name"] == "coursehub.test"
    api.ok("POST", "domains", {"name": "Example.test", "ip_address": "10.0.0.7"})
    assert_error(api.call("POST", "domains", {"name": "example.test"}), 422, "unprocessable_entity", "already exists")
    records = api.ok("GET", "domains/example.test/records")["domain_records"]
    assert [(r["type"], r["name"]) for r in records] == [("NS", "@")] * 3 + [("A", "@")]
    made = api.ok("POST", "domains/example.test/records", {"type": "A", "name": "www", "data": "10.0.0.7", "ttl": 60})
    path = f"domains/example.test/records/{made['domain_record']['id']}"
    assert api.ok("PUT", path, {"data": "10.0.0.8"})["domain_record"]["data"] == "10.0.0.8"
    assert api.ok("PATCH", path, {"type": "A", "ttl": 30})["domain_record"] == {
        **made["domain_record"],
        "data": "10.0.0.8",
        "ttl": 30,
    }
    assert [r["id"] for r in api.ok("GET", "domains/example.test/records?name=www.example.test")["domain_records"]] == [
        made["domain_record"]["id"]
    ]
    assert api.call("DELETE", path).status_code == 204
    assert api.call("GET", path).status_code == 404
    assert api.call("DELETE", "domains/example.test").status_code == 204
    assert [domain["name"] for domain in api.ok("GET", "domains")["domains"]] == ["coursehub.test"]


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"type": "A", "name": "x", "data": "not-an-address"}, "did not match IPv4"),
        ({"type": "AAAA", "name": "x", "data": "10.0.0.1"}, "did not match IPv6"),
        ({"type": "A", "name": "x"}, "Data can't be blank"),
        ({"type": "A", "data": "10.0.0.1"}, "Name can't be blank"),
        ({"type": "Z", "name": "x", "data": "1"}, "Type is not"),
        ({"type": "A", "name": "x", "data": "10.0.0.1", "ttl": "soon"}, "Ttl must be a number"),
        ({"type": "CNAME", "name": "@", "data": "x."}, "cannot share"),
        ({"type": "NS", "name": "sub", "data": "hub.example.test"}, "needs to end with a dot"),
    ],
)
def test_a_wrong_record_is_422(api: Api, record: Any, message: str) -> None:
    assert_error(api.call("POST", "domains/coursehub.test/records", record), 422, "unprocessable_entity", message)


def test_tags_on_and_off(api: Api) -> None:
    droplet = create(api)
    api.ok("POST", "tags", {"name": "keep"})
    resources = {"resources": [{"resource_id": str(droplet["id"]), "resource_type": "droplet"}]}
    assert api.call("POST", "tags/keep/resources", resources).status_code == 204
    assert api.ok("GET", "tags/keep")["tag"]["resources"]["droplets"]["count"] == 1
    assert api.call("DELETE", "tags/keep/resources", resources).status_code == 204
    assert api.ok("GET", f"droplets/{droplet['id']}")["droplet"]["tags"] == []
    assert api.call("POST", "tags/keep/resources", {}).status_code == 422
    assert api.call("POST", "tags", {"name": "a b"}).status_code == 422
    api.call("POST", "tags/keep/resources", resources)
    assert api.call("DELETE", "tags/keep").status_code == 204
    assert api.ok("GET", f"droplets/{droplet['id']}")["droplet"]["tags"] == []
