"""The local cloud's API with machines in memory; each answer is checked against the provider's description."""

from __future__ import annotations

import json
import time
from typing import Any

import digitalocean
import digitalocean.baseapi
import httpx
import pytest
import requests
from openapi_core.exceptions import OpenAPIError

from tests.support.contract import check_contract, check_request, described_keys
from tests.support.local_api import TOKEN, Api
from tests.support.local_orders import (
    ORDER,
    api,  # noqa: F401
    assert_error,
    create,
    public_key,
)

pytestmark = pytest.mark.unit


@pytest.fixture
def manager(api: Api, monkeypatch: pytest.MonkeyPatch) -> digitalocean.Manager:
    monkeypatch.setenv("DIGITALOCEAN_END_POINT", f"{api.url}/v2/")
    monkeypatch.setenv("DIGITALOCEAN_ACCESS_TOKEN", TOKEN)
    return digitalocean.Manager()


def test_without_the_token_every_request_is_refused(api: Api) -> None:
    assert_error(api.call("GET", "droplets", token="wrong"), 401, "Unauthorized", "Unable to authenticate you")
    bare = httpx.get(f"{api.url}/v2/account", trust_env=False)
    assert bare.status_code == 401


@pytest.mark.parametrize("path", ["droplets/1", "actions/1", "images/windows-95", "domains/other.test", "tags/none"])
def test_what_is_not_there_is_404(api: Api, path: str) -> None:
    assert_error(api.call("GET", path), 404, "not_found", "could not be found")


def test_a_number_in_the_path_that_is_none_is_404(api: Api) -> None:
    answer = httpx.get(f"{api.url}/v2/droplets/abc", headers={"Authorization": f"Bearer {TOKEN}"}, trust_env=False)
    assert answer.status_code == 404


def test_each_answer_tells_the_rate_limit(api: Api) -> None:
    first, second = api.call("GET", "account"), api.call("GET", "account")
    assert int(first.headers["ratelimit-limit"]) == 5000
    assert int(second.headers["ratelimit-remaining"]) == int(first.headers["ratelimit-remaining"]) - 1
    assert int(first.headers["ratelimit-reset"]) > time.time()


def test_a_body_that_is_no_json_is_400(api: Api) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    answer = httpx.post(f"{api.url}/v2/tags", content=b"{", headers=headers, trust_env=False)
    assert answer.status_code == 400


def test_pages_link_to_each_other_and_keep_the_filter(api: Api) -> None:
    for number in range(5):
        api.ok("POST", "domains/coursehub.test/records", {"type": "A", "name": f"n{number}", "data": "10.0.0.1"})
    first = api.ok("GET", "domains/coursehub.test/records?type=A&per_page=2")
    assert [record["name"] for record in first["domain_records"]] == ["n0", "n1"]
    assert first["meta"] == {"total": 5}
    assert set(first["links"]["pages"]) == {"next", "last"}
    following = httpx.get(
        first["links"]["pages"]["next"], headers={"Authorization": f"Bearer {TOKEN}"}, trust_env=False
    )
    assert [record["name"] for record in following.json()["domain_records"]] == ["n2", "n3"]
    last = api.ok("GET", "domains/coursehub.test/records?type=A&per_page=2&page=3")
    assert set(last["links"]["pages"]) == {"first", "prev"}
    assert api.ok("GET", "domains/coursehub.test/records?type=A")["links"] == {}


def test_the_check_of_answers_can_fail(api: Api) -> None:
    good = api.call("GET", "sizes")
    bad = httpx.Response(200, headers=good.headers, json={**good.json(), "sizes": [{"slug": 7}]})
    with pytest.raises(OpenAPIError):
        check_contract("GET", str(good.url), bad)


def test_objects_have_no_keys_but_the_providers(api: Api) -> None:
    droplet = create(api)
    shown = {
        "account": api.ok("GET", "account")["account"],
        "droplet": droplet,
        "size": droplet["size"],
        "image": droplet["image"],
        "region": droplet["region"],
        "network_v4": droplet["networks"]["v4"][0],
        "action": api.ok("GET", "actions")["actions"][0],
        "sshKeys": api.ok("POST", "account/keys", {"name": "k", "public_key": public_key()})["ssh_key"],
        "domain": api.ok("GET", "domains/coursehub.test")["domain"],
        "domain_record": api.ok("GET", "domains/coursehub.test/records")["domain_records"][0],
        "tags": api.ok("POST", "tags", {"name": "t"})["tag"],
    }
    assert {kind: set(document) - described_keys(kind) for kind, document in shown.items()} == {k: set() for k in shown}


def test_a_droplet_has_every_key_of_the_provider(api: Api) -> None:
    """Clients read keys that we do not; only sizes with a GPU have ``gpu_info``, and there are none here."""
    droplet = create(api, monitoring=True)
    assert described_keys("droplet") - set(droplet) == {"gpu_info"}
    assert "monitoring" in droplet["features"]
    assert "monitoring" not in create(api)["features"]


def test_the_check_of_requests_can_fail() -> None:
    check_request("POST", "/v2/droplets", "", json.dumps(ORDER).encode())
    for body in ({**ORDER, "monitoring": "true"}, {**ORDER, "vpc_uuid": None}, {**ORDER, "tags": "a"}):
        with pytest.raises(OpenAPIError):
            check_request("POST", "/v2/droplets", "", json.dumps(body).encode())
    with pytest.raises(OpenAPIError):
        check_request("POST", "/v2/volumes", "", b"{}")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("domains/coursehub.test/records", {"type": "A", "name": "a", "data": "192.0.2.1", "ttl": 29}),
        ("domains/coursehub.test/records", {"type": "A", "name": "a", "data": "192.0.2.1", "ttl": "300"}),
        ("droplets", {**ORDER, "monitoring": "true"}),
        ("droplets", {**ORDER, "ipv6": 1}),
        ("droplets", {**ORDER, "ssh_keys": "1"}),
        ("droplets", {**ORDER, "tags": "term"}),
        ("droplets", {**ORDER, "user_data": {}}),
        ("droplets", {**ORDER, "name": "x" * 256}),
    ],
)
def test_what_the_provider_refuses_is_refused(api: Api, path: str, body: Any) -> None:
    assert api.call("POST", path, body).status_code == 422


def test_a_name_may_have_255_letters(api: Api) -> None:
    name = f"{'x' * 250}.test"
    assert create(api, name=name)["name"] == name


def test_pages_fail_as_often_as_configured(api: Api) -> None:
    (api.state / "manners.json").write_text(json.dumps({"pages_fail": 2}))
    second = "sizes?per_page=2&page=2"
    assert [api.call("GET", second).status_code for _ in range(4)] == [500, 500, 200, 500]
    assert api.call("GET", "sizes?per_page=2").status_code == 200


def test_a_droplet_with_a_pending_event_is_locked(api: Api) -> None:
    (api.state / "manners.json").write_text(json.dumps({"pending_for": 60}))
    droplet = api.ok("POST", "droplets", ORDER)["droplet"]
    api.wait_action(api.ok("GET", f"droplets/{droplet['id']}/actions")["actions"][0]["id"])
    assert api.ok("GET", f"droplets/{droplet['id']}")["droplet"]["locked"]
    for method, path in (("DELETE", ""), ("POST", "/actions")):
        answer = api.call(method, f"droplets/{droplet['id']}{path}", {"type": "power_off"})
        assert_error(answer, 422, "unprocessable_entity", "pending event")


def test_the_providers_own_client_reads_the_cloud(api: Api) -> None:
    """pydo is generated from the description, so it reads exactly that."""
    import pydo
    from azure.core.pipeline.policies import HeadersPolicy

    # Its own way to send a token requires TLS, which loopback does not have.
    policy = HeadersPolicy({"Authorization": f"Bearer {TOKEN}"})
    client = pydo.Client(token=TOKEN, endpoint=api.url, authentication_policy=policy)
    key = client.ssh_keys.create({"name": "k", "public_key": public_key()})["ssh_key"]
    made = client.droplets.create({**ORDER, "ssh_keys": [key["id"]], "tags": ["term"], "monitoring": True})["droplet"]
    api.wait_action(client.droplet_actions.list(made["id"])["actions"][0]["id"])
    assert [one["id"] for one in client.droplets.list(tag_name="term")["droplets"]] == [made["id"]]
    assert "monitoring" in client.droplets.get(made["id"])["droplet"]["features"]
    record = {"type": "A", "name": "hub", "data": "192.0.2.1", "ttl": 300}
    number = client.domains.create_record("coursehub.test", record)["domain_record"]["id"]
    found = client.domains.list_records("coursehub.test", name="hub.coursehub.test", type="A")["domain_records"]
    assert [one["id"] for one in found] == [number]
    client.domains.delete_record("coursehub.test", number)
    for listed, name in (("sizes", "sizes"), ("regions", "regions"), ("images", "images"), ("tags", "tags")):
        assert getattr(client, listed).list()[name]
    assert client.account.get()["account"]["status"] == "active"
    client.droplets.destroy(made["id"])
    assert client.droplets.list()["droplets"] == []


def test_sizes_have_the_providers_prices(api: Api) -> None:
    sizes = {size["slug"]: size for size in api.ok("GET", "sizes")["sizes"]}
    assert {slug: size["price_monthly"] for slug, size in sizes.items()} == {
        "s-1vcpu-1gb": 6, "s-1vcpu-2gb": 12, "s-2vcpu-2gb": 18,
        "s-2vcpu-4gb": 24, "s-4vcpu-8gb": 48, "s-8vcpu-16gb": 96,
    }  # fmt: skip
    assert sizes["s-4vcpu-8gb"]["memory"] == 8192
    assert sizes["s-4vcpu-8gb"]["price_hourly"] == 0.07143


def test_images_by_slug_and_number(api: Api) -> None:
    images = api.ok("GET", "images")["images"]
    assert [image["slug"] for image in images] == ["debian-12-x64", "debian-13-x64"]
    assert api.ok("GET", f"images/{images[0]['id']}")["image"] == images[0]
    assert api.ok("GET", "images/debian-13-x64")["image"] == images[1]
    assert api.ok("GET", "images?private=true")["images"] == []
    assert "nyc3" in [region["slug"] for region in api.ok("GET", "regions")["regions"]]


def test_a_key_is_there_once(api: Api) -> None:
    key = public_key()
    made = api.ok("POST", "account/keys", {"name": "laptop", "public_key": key})["ssh_key"]
    again = api.call("POST", "account/keys", {"name": "other", "public_key": key})
    assert_error(again, 422, "unprocessable_entity", "SSH Key is already in use on your account")
    assert api.ok("GET", f"account/keys/{made['fingerprint']}")["ssh_key"] == made
    assert api.ok("PUT", f"account/keys/{made['id']}", {"name": "desk"})["ssh_key"]["name"] == "desk"
    assert api.call("DELETE", f"account/keys/{made['id']}").status_code == 204
    assert api.ok("GET", "account/keys")["ssh_keys"] == []


@pytest.mark.parametrize("key", ["", "ssh-ed25519", "ssh-ed25519 !!!", "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIA=="])
def test_what_is_no_key_is_refused(api: Api, key: str) -> None:
    assert api.call("POST", "account/keys", {"name": "x", "public_key": key}).status_code == 422


def test_python_digitalocean_makes_finds_and_destroys(api: Api, manager: digitalocean.Manager) -> None:
    assert manager.get_account().email == "teacher@coursehub.test"
    droplet = digitalocean.Droplet(
        name="hub", region="nyc3", image="debian-13-x64", size_slug="s-1vcpu-1gb", ssh_keys=[public_key()],
        user_data="#cloud-config\n{}\n", tags=["coursehub:demo"],
    )  # fmt: skip
    droplet.create()
    action = manager.get_action(droplet.action_ids[0])
    assert action.wait(update_every_seconds=0.05)
    found = manager.get_all_droplets(tag_name="coursehub:demo")
    assert [d.ip_address for d in found] == [
        api.ok("GET", "droplets")["droplets"][0]["networks"]["v4"][0]["ip_address"]
    ]
    found[0].power_off(return_dict=False).wait(update_every_seconds=0.05)
    resized = found[0].resize("s-2vcpu-2gb", return_dict=False, disk=False)
    assert resized.wait(update_every_seconds=0.05)
    domain = manager.get_domain("coursehub.test")
    made = domain.create_new_domain_record(type="A", name="demo", data=found[0].ip_address, ttl=60)
    records = domain.get_records(params={"type": "A", "name": "demo.coursehub.test"})
    assert [record.id for record in records] == [made["domain_record"]["id"]]
    records[0].destroy()
    assert found[0].destroy() is True
    with pytest.raises(digitalocean.NotFoundError):
        manager.get_droplet(droplet.id)
    droplet.size_slug = "s-99"
    with pytest.raises(digitalocean.DataReadError, match="invalid size"):
        droplet.create()


def test_python_digitalocean_reads_all_pages(api: Api, manager: digitalocean.Manager) -> None:
    domain = manager.get_domain("coursehub.test")
    for number in range(250):
        api.cloud.store.account.tags.append(f"t{number}")
        if number < 5:
            domain.create_new_domain_record(type="A", name=f"n{number}", data="10.0.0.1")
    assert len(manager.get_all_tags()) == 250
    assert len(domain.get_records(params={"per_page": 2})) == 8


def fault(api: Api, **entry: Any) -> None:
    (api.state / "faults.json").write_text(json.dumps([{"path_regex": "^/v2/droplets$", **entry}]))


def test_fault_happens_as_often_as_configured(api: Api, manager: digitalocean.Manager) -> None:
    fault(
        api, times=2, status=429, body={"id": "too_many_requests", "message": "slow down"}, headers={"Retry-After": "1"}
    )
    for _ in range(2):
        with pytest.raises(digitalocean.DataReadError, match="slow down"):
            manager.get_all_droplets()
    assert manager.get_all_droplets() == []


def test_a_fault_with_html(api: Api, manager: digitalocean.Manager) -> None:
    fault(api, status=503, body="<html>no</html>", method="GET")
    with pytest.raises(digitalocean.baseapi.JSONReadError):
        manager.get_all_droplets()
    assert api.ok("POST", "droplets", ORDER)["droplet"]["name"] == "hub"


def test_a_create_whose_answer_is_lost_has_taken_effect(api: Api) -> None:
    fault(api, method="POST", times=1, reset=True, after=True)
    with pytest.raises(requests.ConnectionError, match="reset"):
        requests.post(f"{api.url}/v2/droplets", json=ORDER, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=5)
    assert [droplet["name"] for droplet in api.ok("GET", "droplets")["droplets"]] == ["hub"]


def test_a_slow_answer_is_still_the_right_one(api: Api) -> None:
    fault(api, delay_s=0.3, times=1)
    begun = time.monotonic()
    assert api.ok("GET", "droplets")["droplets"] == []
    assert time.monotonic() - begun >= 0.3
    (api.state / "faults.json").unlink()
    assert api.ok("GET", "droplets")["droplets"] == []
