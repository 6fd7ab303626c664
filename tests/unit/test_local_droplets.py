"""Droplets of the local cloud and their actions, over HTTP."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from runner.errors import CoursehubError
from runner.local.cloud import WATCH_SECONDS
from tests.support.local_api import Api, served
from tests.support.local_orders import (
    ORDER,
    api,  # noqa: F401
    assert_error,
    create,
    public_key,
    status,
)
from tests.support.root import eventually

pytestmark = pytest.mark.unit


def act(api: Api, droplet: Any, kind: str, **argument: Any) -> Any:
    action = api.ok("POST", f"droplets/{droplet['id']}/actions", {"type": kind, **argument})["action"]
    assert action["status"] == "in-progress"
    return api.wait_action(action["id"])


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


def test_boot_with_an_unexpected_error_is_tried_again(api: Api) -> None:
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
    # It takes longer only if others keep the server busy.
    while (now := time.monotonic() - began) < 2.5 or (api.machines.boots[droplet["id"]] < 2 and now < 60):
        api.machines.on.clear()
        time.sleep(0.01)
    assert 2 <= api.machines.boots[droplet["id"]] <= 4


def test_processes_of_a_dead_machine_end_before_the_pause(api: Api) -> None:
    droplet = create(api)
    # It died often and just now: the next boot is a long way off.
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
        # A kill would leave the file like this: the action still runs.
        kept = (tmp_path / "account.json").read_text()
    assert json.loads(kept)["actions"][0]["status"] == "in-progress"
    (tmp_path / "account.json").write_text(kept)
    with served(tmp_path) as second:
        second.wait_action(answer["links"]["actions"][0]["id"])
        assert status(second, answer["droplet"]) == "active"
        assert second.ok("GET", "domains/coursehub.test/records?name=hub.coursehub.test&type=A")["meta"]["total"] == 1


def test_closing_server_leaves_a_boot_to_the_next(tmp_path: Path) -> None:
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
