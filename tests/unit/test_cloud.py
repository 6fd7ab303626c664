"""The runner's cloud package against the provider's API over real HTTP: faults 1 to 9."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runner.cloud import Cloud, Order, Refused, Server, Unanswered, Zone, calls, digitalocean, record_of, tag_of
from runner.cloud.model import maker
from runner.errors import CoursehubError
from runner.servers.access import KeyPair
from tests.support.local_api import TOKEN, Api, served

pytestmark = pytest.mark.unit

ORDER = Order("phys", "phys.coursehub.test", "s-1vcpu-1gb", "debian-13-x64", "nyc3")


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with served(tmp_path) as running:
        yield running


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture
def cloud(api: Api, slept: list[float]) -> Cloud:
    return Cloud("the cloud", f"{api.url}/v2/", TOKEN, sleep=slept.append)


@pytest.fixture
def key_id(cloud: Cloud) -> int:
    return cloud.ensure_key("k", KeyPair.generate("k").public)


def faults(api: Api, *entries: dict[str, Any]) -> None:
    (api.state / "faults.json").write_text(json.dumps(entries))


def droplets(api: Api) -> list[Any]:
    faults(api)
    return api.ok("GET", "droplets?per_page=200")["droplets"]


def order(cloud: Cloud, key_id: int, wanted: Order = ORDER) -> Server:
    return cloud.order(wanted, key_id=key_id, user_data="#cloud-config\n")


def nobody(_line: str) -> None:
    """Ignores progress."""


def test_droplet_is_found_by_its_tag(api: Api, cloud: Cloud, key_id: int) -> None:
    made = order(cloud, key_id)
    running = cloud.wait_active("phys", made, nobody)
    assert running.state == "active"
    assert running.ip
    assert cloud.find("phys") == [running]
    assert set(droplets(api)[0]["tags"]) == {"coursehub", tag_of("phys"), f"coursehub-by:{maker()}"}
    assert running.made_by == maker()
    assert cloud.find("other") == []


def test_a_key_is_stored_once(cloud: Cloud) -> None:
    public = KeyPair.generate("x").public
    assert cloud.ensure_key("a", public) == cloud.ensure_key("b", f"{public} another comment")
    cloud.remove_keys("a")
    cloud.remove_keys("a")


def test_fault_1_a_rate_limit_is_waited_for(api: Api, cloud: Cloud, key_id: int, slept: list[float]) -> None:
    faults(
        api,
        {
            "path_regex": "^/v2/droplets/?$",
            "method": "POST",
            "times": 2,
            "status": 429,
            "headers": {"Retry-After": "7"},
            "body": {"id": "too_many_requests", "message": "slow down"},
        },
    )
    order(cloud, key_id)
    assert slept == [7, 7]
    assert len(droplets(api)) == 1


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 500, "body": {"id": "server_error", "message": "oops"}},
        {"status": 502, "body": "<html>Bad Gateway</html>"},
        {"status": 503, "body": {"message": "no id here"}},
        {"reset": True},
    ],
    ids=["json", "html", "no-id", "reset"],
)
def test_fault_2_reading_backs_off_with_jitter(
    api: Api, cloud: Cloud, slept: list[float], fault: dict[str, Any]
) -> None:
    faults(api, {"path_regex": "^/v2/droplets", "times": 3, **fault})
    assert cloud.find("phys") == []
    assert len(slept) == 3
    assert slept != [0.5, 1, 2]
    assert all(0.5 * base <= pause <= 1.5 * base for base, pause in zip((0.5, 1, 2), slept, strict=True))


def test_fault_2_a_refused_create_is_not_sent_again(api: Api, cloud: Cloud, key_id: int) -> None:
    faults(api, {"path_regex": "^/v2/droplets/?$", "method": "POST", "status": 500, "body": "<html>"})
    with pytest.raises(CoursehubError, match="run the same command again"):
        order(cloud, key_id)
    assert droplets(api) == []


def test_fault_2_silence_is_bounded(api: Api, slept: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "REQUEST_SECONDS", 0.3)
    impatient = Cloud("the cloud", f"{api.url}/v2/", TOKEN, sleep=slept.append)
    faults(api, {"path_regex": "^/v2/droplets", "times": 1, "delay_s": 0.8})
    assert impatient.find("phys") == []
    assert len(slept) == 1


@pytest.mark.parametrize(
    "lost",
    [{"reset": True}, *({"status": status, "body": body} for status, body in ((504, "<p>"), (202, "<p>"), (202, [])))],
    ids=["reset", "gateway", "html", "list"],
)
def test_fault_3_lost_create_is_found(api: Api, cloud: Cloud, key_id: int, lost: dict[str, Any]) -> None:
    faults(api, {"path_regex": "^/v2/droplets/?$", "method": "POST", "times": 1, "after": True, **lost})
    with pytest.raises(Unanswered):
        order(cloud, key_id)
    found = cloud.ordered("phys", ORDER.name, time.time(), time.time(), nobody)
    assert found
    assert [droplet["id"] for droplet in droplets(api)] == [found.id]


def test_fault_5_a_droplet_stuck_in_new_ends_in_a_line(
    api: Api, cloud: Cloud, key_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digitalocean, "BOOT_SECONDS", 0.2)
    api.machines.hold.set()
    server = order(cloud, key_id)
    with pytest.raises(
        CoursehubError, match=rf"droplet {server.id} is still 'new'.*costs 0.009 dollars an hour.*down phys"
    ):
        cloud.wait_active("phys", server, nobody)
    api.machines.hold.clear()


@pytest.mark.parametrize("status", [401, 403])
def test_fault_6_a_refused_token_stops_at_once_and_is_not_shown(
    api: Api, cloud: Cloud, slept: list[float], status: int
) -> None:
    faults(api, {"path_regex": "^/v2/droplets", "status": status, "body": {"id": "unauthorized", "message": "no"}})
    with pytest.raises(CoursehubError, match="refused the token") as caught:
        cloud.find("phys")
    assert TOKEN not in str(caught.value)
    assert slept == []


def test_fault_7_what_cannot_be_ordered_makes_nothing(api: Api, cloud: Cloud, key_id: int) -> None:
    with pytest.raises(Refused, match="invalid size"):
        order(cloud, key_id, replace(ORDER, size="s-99vcpu-1tb"))
    assert droplets(api) == []


@pytest.mark.parametrize("body", [{}, {"id": "unprocessable_entity"}, {"message": None}, [], "<html>"])
def test_fault_7_refusal_without_a_reason_is_reported(api: Api, cloud: Cloud, key_id: int, body: Any) -> None:
    faults(api, {"path_regex": "^/v2/droplets/?$", "method": "POST", "status": 422, "body": body})
    with pytest.raises(Refused, match="refused while making the droplet: it does not say why"):
        order(cloud, key_id)


def test_fault_8_ours_is_found_on_any_page(api: Api, cloud: Cloud, key_id: int) -> None:
    server = order(cloud, key_id)
    # More of our droplets in the account itself: 210 create calls would prove nothing more.
    with api.cloud.changing() as store:
        (ours,) = store.account.droplets
        for number in range(210):
            twin = {"id": store.new_id(), "name": f"other{number}", "tags": [tag_of("phys")] if number == 205 else []}
            store.account.droplets.append(ours.model_copy(update={**twin, "on": False, "status": "off"}))
    with pytest.raises(CoursehubError, match=f"has 2 droplets for phys \\({server.id}"):
        cloud.single("phys")


def test_fault_9_delete_that_finds_nothing_later_is_done(api: Api, cloud: Cloud, key_id: int) -> None:
    server = order(cloud, key_id)
    faults(
        api,
        {
            "path_regex": f"^/v2/droplets/{server.id}$",
            "method": "DELETE",
            "times": 1,
            "status": 500,
            "after": True,
            "body": {"id": "server_error", "message": "oops"},
        },
    )
    cloud.destroy(server, nobody)
    cloud.destroy(server, nobody)
    assert droplets(api) == []


def test_records_point_at_the_server_and_go_with_it(api: Api, cloud: Cloud) -> None:
    zone = cloud.zone_of("www.phys.coursehub.test")
    assert zone == Zone("coursehub.test")
    assert cloud.zone_of("phys.example.edu") is None
    assert cloud.zone_of("notcoursehub.test") is None
    assert cloud.ensure_record(zone, record_of("phys.coursehub.test", "192.0.2.1")) is True
    assert cloud.ensure_record(zone, record_of("phys.coursehub.test", "192.0.2.1")) is False
    assert cloud.ensure_record(zone, record_of("phys.coursehub.test", "192.0.2.2")) is True
    data = [record["data"] for record in api.ok("GET", "domains/coursehub.test/records?type=A")["domain_records"]]
    assert data == ["192.0.2.2"]
    cloud.remove_record(zone, record_of("phys.coursehub.test", "192.0.2.1"))
    assert len(api.ok("GET", "domains/coursehub.test/records?type=A")["domain_records"]) == 1
    cloud.remove_record(zone, record_of("phys.coursehub.test", "192.0.2.2"))
    assert api.ok("GET", "domains/coursehub.test/records?type=A")["domain_records"] == []


def test_names_below_and_challenges_get_records_too(api: Api, cloud: Cloud) -> None:
    zone = Zone("coursehub.test")
    names = ("phys.coursehub.test", "*.phys.coursehub.test", "_acme-challenge.phys.coursehub.test")
    records = [record_of(name, "192.0.2.1") for name in names]
    assert [cloud.ensure_record(zone, record) for record in records * 2] == [True] * 3 + [False] * 3
    made = [
        (one["type"], one["name"], one["data"])
        for one in api.ok("GET", "domains/coursehub.test/records")["domain_records"]
        if one["name"] != "@"
    ]
    assert made == [
        ("A", "phys", "192.0.2.1"),
        ("A", "*.phys", "192.0.2.1"),
        ("NS", "_acme-challenge.phys", "phys.coursehub.test"),
    ]
    for record in records:
        cloud.remove_record(zone, record)
    assert {one["name"] for one in api.ok("GET", "domains/coursehub.test/records")["domain_records"]} <= {"@"}


def test_a_droplet_that_is_off_is_switched_on(api: Api, cloud: Cloud, key_id: int) -> None:
    server = order(cloud, key_id)
    cloud.wait_active("phys", server, nobody)
    action = api.ok("POST", f"droplets/{server.id}/actions", {"type": "power_off"})["action"]
    api.wait_action(action["id"])
    assert cloud.wait_active("phys", server, nobody).state == "active"


def test_an_archived_droplet_is_not_waited_for(api: Api, cloud: Cloud, key_id: int, slept: list[float]) -> None:
    server = order(cloud, key_id)
    shown = api.ok("GET", f"droplets/{server.id}")["droplet"] | {"status": "archive"}
    faults(api, {"path_regex": f"^/v2/droplets/{server.id}$", "status": 200, "body": {"droplet": shown}})
    with pytest.raises(CoursehubError, match=rf"droplet {server.id} of phys is archived.*support"):
        cloud.wait_active("phys", server, nobody)
    assert slept == []


def test_a_server_that_does_not_come_on_is_not_for_deleting(
    api: Api, cloud: Cloud, key_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = order(cloud, key_id)
    cloud.wait_active("phys", server, nobody)
    api.wait_action(api.ok("POST", f"droplets/{server.id}/actions", {"type": "power_off"})["action"]["id"])
    monkeypatch.setattr(digitalocean, "BOOT_SECONDS", 0.2)
    api.machines.hold.set()
    with pytest.raises(CoursehubError, match=rf"droplet {server.id} is still 'off'.*control panel") as said:
        cloud.wait_active("phys", server, nobody)
    api.machines.hold.clear()
    assert "down" not in str(said.value)


def test_what_can_be_ordered_is_known(cloud: Cloud) -> None:
    assert cloud.sizes()["s-4vcpu-8gb"].price_monthly == pytest.approx(48.0)
    assert "nyc3" in cloud.regions()
    assert "nyc3" in cloud.images()["debian-13-x64"]
