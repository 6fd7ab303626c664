"""The local cloud's API over machines in memory; each answer is held against the provider's description."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import digitalocean
import digitalocean.baseapi
import httpx
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from openapi_core.exceptions import OpenAPIError

from runner.errors import CoursehubError
from runner.local.cloud import WATCH_SECONDS
from tests.support.contract import check_contract, check_request, described_keys
from tests.support.local_api import TOKEN, Api, served
from tests.support.root import eventually

pytestmark = pytest.mark.unit

ORDER = {"name": "hub", "size": "s-2vcpu-4gb", "image": "debian-13-x64", "region": "nyc3"}


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with served(tmp_path) as running:
        yield running


@pytest.fixture
def manager(api: Api, monkeypatch: pytest.MonkeyPatch) -> digitalocean.Manager:
    monkeypatch.setenv("DIGITALOCEAN_END_POINT", f"{api.url}/v2/")
    monkeypatch.setenv("DIGITALOCEAN_ACCESS_TOKEN", TOKEN)
    return digitalocean.Manager()


def public_key() -> str:
    key = ed25519.Ed25519PrivateKey.generate().public_key()
    return key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode() + " teacher"


def create(api: Api, **changes: Any) -> Any:
    """A droplet that is active."""
    answer = api.ok("POST", "droplets", {**ORDER, **changes})
    api.wait_action(answer["links"]["actions"][0]["id"])
    return api.ok("GET", f"droplets/{answer['droplet']['id']}")["droplet"]


def act(api: Api, droplet: Any, kind: str, **argument: Any) -> Any:
    action = api.ok("POST", f"droplets/{droplet['id']}/actions", {"type": kind, **argument})["action"]
    assert action["status"] == "in-progress"
    return api.wait_action(action["id"])


def status(api: Api, droplet: Any) -> str:
    return api.ok("GET", f"droplets/{droplet['id']}")["droplet"]["status"]


def assert_error(answer: httpx.Response, code: int, id: str, message: str) -> None:
    assert answer.status_code == code
    body = answer.json()
    assert body["id"] == id
    assert message in body["message"]
    assert body["request_id"]


# --- access, errors, pages


def test_without_the_token_nothing_is_told(api: Api) -> None:
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
    """Clients read keys that we do not; ``gpu_info`` is of sizes that we have none of."""
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


def test_pages_fail_as_often_as_told(api: Api) -> None:
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
    """pydo is made from the description, so it reads what the description says and nothing else."""
    import pydo
    from azure.core.pipeline.policies import HeadersPolicy

    # Its own way to send a token insists on TLS, which loopback has none of.
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


# --- what can be ordered


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


# --- keys


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


# --- droplets


def test_a_droplet_is_new_until_its_machine_answers(api: Api) -> None:
    api.machines.hold.set()
    answer = api.ok("POST", "droplets", ORDER)
    action = answer["links"]["actions"][0]
    assert action["rel"] == "create"
    assert answer["droplet"]["status"] == "new"
    assert api.ok("GET", f"actions/{action['id']}")["action"]["status"] == "in-progress"
    assert api.ok("GET", f"droplets/{answer['droplet']['id']}")["droplet"]["locked"]
    api.machines.hold.clear()
    ended = api.wait_action(action["id"])
    assert (ended["status"], ended["type"], ended["resource_id"]) == ("completed", "create", answer["droplet"]["id"])
    assert status(api, answer["droplet"]) == "active"


def test_the_machine_gets_what_was_ordered(api: Api) -> None:
    key = public_key()
    number = api.ok("POST", "account/keys", {"name": "k", "public_key": key})["ssh_key"]["id"]
    droplet = create(api, ssh_keys=[number], user_data="#cloud-config\n{}\n", tags=["coursehub", "course:demo"])
    spec = api.machines.specs[droplet["id"]]
    assert spec.public_keys == (key,)
    assert spec.user_data == "#cloud-config\n{}\n"
    assert (spec.limits.memory, spec.limits.vcpus) == (4 * 1024**3, 2)
    assert droplet["networks"]["v4"][0]["ip_address"] == f"10.101.1.{spec.slot}"
    assert droplet["tags"] == ["coursehub", "course:demo"]
    assert {tag["name"] for tag in api.ok("GET", "tags")["tags"]} == {"coursehub", "course:demo"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": "s-99vcpu"}, "invalid size"),
        ({"image": "windows-95"}, "invalid image"),
        ({"region": "moon1"}, "invalid region"),
        ({"name": ""}, "Name can't be blank"),
        ({"name": None}, "Name can't be blank"),
        ({"name": "a b"}, "Only valid hostname characters"),
        ({"names": []}, "Only valid hostname characters"),
        ({"ssh_keys": [7]}, "7 are invalid key identifiers"),
        ({"tags": ["a b"]}, "Tags may contain"),
        ({"user_data": "x" * 70_000}, "64 KB"),
    ],
)
def test_what_cannot_be_ordered_is_422_and_nothing_is_made(api: Api, changes: Any, message: str) -> None:
    assert_error(api.call("POST", "droplets", {**ORDER, **changes}), 422, "unprocessable_entity", message)
    assert api.ok("GET", "droplets")["droplets"] == []
    assert api.ok("GET", "tags")["tags"] == []


def test_several_at_once_then_found_and_deleted_by_tag(api: Api) -> None:
    order = {**ORDER, "names": ["a", "b"], "tags": ["term"]}
    del order["name"]
    answer = api.ok("POST", "droplets", order)
    for action in answer["links"]["actions"]:
        api.wait_action(action["id"])
    other = create(api)
    assert [droplet["name"] for droplet in api.ok("GET", "droplets?tag_name=term")["droplets"]] == ["a", "b"]
    assert len({droplet["networks"]["v4"][0]["ip_address"] for droplet in api.ok("GET", "droplets")["droplets"]}) == 3
    assert api.call("DELETE", "droplets?tag_name=term").status_code == 204
    assert [droplet["id"] for droplet in api.ok("GET", "droplets")["droplets"]] == [other["id"]]
    assert set(api.machines.specs) == {other["id"]}
    assert api.call("DELETE", "droplets").status_code == 422


def test_a_droplet_deleted_while_it_boots_is_gone(api: Api) -> None:
    api.machines.hold.set()
    answer = api.ok("POST", "droplets", ORDER)
    assert api.call("DELETE", f"droplets/{answer['droplet']['id']}").status_code == 204
    api.machines.hold.clear()
    assert api.call("GET", f"droplets/{answer['droplet']['id']}").status_code == 404
    assert api.ok("GET", f"actions/{answer['links']['actions'][0]['id']}")["action"]["status"] != "in-progress"
    time.sleep(0.5)
    assert not api.machines.on
    assert api.call("DELETE", f"droplets/{answer['droplet']['id']}").status_code == 404


def test_a_boot_that_fails_ends_as_errored(api: Api) -> None:
    api.machines.broken = CoursehubError("no space; make room")
    answer = api.ok("POST", "droplets", ORDER)
    assert api.wait_action(answer["links"]["actions"][0]["id"])["status"] == "errored"
    assert status(api, answer["droplet"]) == "new"


# --- actions


def test_off_stays_off_and_on_comes_back(api: Api) -> None:
    droplet = create(api)
    act(api, droplet, "power_off")
    assert status(api, droplet) == "off"
    time.sleep(0.6)
    assert not api.machines.on
    refused = api.call("POST", f"droplets/{droplet['id']}/actions", {"type": "reboot"})
    assert_error(refused, 422, "unprocessable_entity", "currently off")
    act(api, droplet, "power_on")
    assert status(api, droplet) == "active"


@pytest.mark.parametrize(("kind", "graceful"), [("reboot", True), ("power_cycle", False)])
def test_a_reboot_ends_on(api: Api, kind: str, graceful: bool) -> None:
    droplet = create(api)
    act(api, droplet, kind)
    assert api.machines.stops == [(droplet["id"], graceful)]
    assert api.machines.boots[droplet["id"]] == 2
    assert status(api, droplet) == "active"


def test_shutdown_is_graceful(api: Api) -> None:
    droplet = create(api)
    act(api, droplet, "shutdown")
    assert api.machines.stops == [(droplet["id"], True)]
    assert status(api, droplet) == "off"


def test_resize_needs_off_and_leaves_the_disk(api: Api) -> None:
    droplet = create(api)
    path = f"droplets/{droplet['id']}/actions"
    assert_error(
        api.call("POST", path, {"type": "resize", "size": "s-4vcpu-8gb"}), 422, "unprocessable_entity", "currently on"
    )
    act(api, droplet, "power_off")
    act(api, droplet, "resize", size="s-4vcpu-8gb")
    shown = api.ok("GET", f"droplets/{droplet['id']}")["droplet"]
    assert (shown["size_slug"], shown["memory"], shown["disk"]) == ("s-4vcpu-8gb", 8192, 80)
    for disk in (True, "true"):
        grown = api.call("POST", path, {"type": "resize", "size": "s-4vcpu-8gb", "disk": disk})
        assert_error(grown, 422, "unprocessable_entity", "cannot resize a disk")
    assert api.ok("GET", f"droplets/{droplet['id']}")["droplet"]["disk"] == 80
    smaller = api.call("POST", path, {"type": "resize", "size": "s-1vcpu-1gb"})
    assert_error(smaller, 422, "unprocessable_entity", "smaller disk")
    act(api, droplet, "power_on")
    assert api.machines.specs[droplet["id"]].limits.memory == 8 * 1024**3


def test_one_event_at_a_time(api: Api) -> None:
    droplet = create(api)
    api.machines.hold.set()
    api.ok("POST", f"droplets/{droplet['id']}/actions", {"type": "power_cycle"})
    second = api.call("POST", f"droplets/{droplet['id']}/actions", {"type": "power_off"})
    assert_error(second, 422, "unprocessable_entity", "pending event")
    api.machines.hold.clear()


def test_rename_and_the_list_of_actions(api: Api) -> None:
    droplet = create(api)
    act(api, droplet, "rename", name="hub2")
    assert api.ok("GET", f"droplets/{droplet['id']}")["droplet"]["name"] == "hub2"
    kinds = [action["type"] for action in api.ok("GET", f"droplets/{droplet['id']}/actions")["actions"]]
    assert kinds == ["rename", "create"]
    newest = api.ok("GET", "actions")["actions"][0]
    assert api.ok("GET", f"droplets/{droplet['id']}/actions/{newest['id']}")["action"] == newest
    assert api.call("POST", f"droplets/{droplet['id']}/actions", {"type": "dance"}).status_code == 422
    assert api.call("POST", f"droplets/{droplet['id']}/actions", {"type": "rename", "name": "a b"}).status_code == 422


def test_a_machine_that_dies_boots_again(api: Api) -> None:
    droplet = create(api)
    api.machines.on.clear()
    eventually(lambda: api.machines.on)
    assert api.machines.boots[droplet["id"]] == 2


def test_a_boot_that_fails_in_a_way_that_nobody_foresaw_is_tried_again(api: Api) -> None:
    droplet = create(api)
    api.machines.broken = OSError("too many open files")
    api.machines.on.clear()
    eventually(lambda: api.machines.refused)
    api.machines.broken = None
    eventually(lambda: api.machines.on)
    assert api.machines.boots[droplet["id"]] == 2


def test_a_machine_that_keeps_dying_is_not_booted_without_pause(api: Api) -> None:
    droplet = create(api)
    began = time.monotonic()
    # Longer only where the server is kept from its work by others.
    while (now := time.monotonic() - began) < 2.5 or (api.machines.boots[droplet["id"]] < 2 and now < 60):
        api.machines.on.clear()
        time.sleep(0.01)
    assert 2 <= api.machines.boots[droplet["id"]] <= 4


def test_what_a_dead_machine_left_running_ends_before_the_pause_does(api: Api) -> None:
    droplet = create(api)
    # It died often and a moment ago: the next boot is a long way off.
    api.cloud._failures[droplet["id"]] = (9, time.monotonic())
    api.machines.on.clear()
    eventually(lambda: api.machines.stops)
    time.sleep(4 * WATCH_SECONDS)
    assert api.machines.stops == [(droplet["id"], False)]
    assert api.machines.boots[droplet["id"]] == 1


def test_a_new_server_goes_on_where_the_old_one_died(tmp_path: Path) -> None:
    with served(tmp_path) as first:
        first.machines.hold.set()
        answer = first.ok("POST", "droplets", {**ORDER, "tags": ["t"]})
        first.ok("POST", "domains/coursehub.test/records", {"type": "A", "name": "hub", "data": "10.0.0.9"})
        # As a kill would leave the file: the action still runs.
        kept = (tmp_path / "account.json").read_text()
    assert json.loads(kept)["actions"][0]["status"] == "in-progress"
    (tmp_path / "account.json").write_text(kept)
    with served(tmp_path) as second:
        second.wait_action(answer["links"]["actions"][0]["id"])
        assert status(second, answer["droplet"]) == "active"
        assert second.ok("GET", "domains/coursehub.test/records?name=hub.coursehub.test&type=A")["meta"]["total"] == 1


def test_a_server_that_closes_waits_for_no_boot_and_leaves_it_to_the_next(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    with served(tmp_path) as first:
        first.machines.hold.set()
        answer = first.ok("POST", "droplets", ORDER)
        eventually(lambda: answer["droplet"]["id"] in first.machines.on)
    eventually(lambda: set(threading.enumerate()) <= before)
    with served(tmp_path) as second:
        assert second.wait_action(answer["links"]["actions"][0]["id"])["status"] == "completed"


def test_the_account_file_is_private(api: Api) -> None:
    create(api)
    assert (api.state / "account.json").stat().st_mode & 0o777 == 0o600


# --- domains, records, tags


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


# --- python-digitalocean, as the runner uses it


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


# --- faults on purpose


def fault(api: Api, **entry: Any) -> None:
    (api.state / "faults.json").write_text(json.dumps([{"path_regex": "^/v2/droplets$", **entry}]))


def test_a_fault_happens_as_often_as_told(api: Api, manager: digitalocean.Manager) -> None:
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
