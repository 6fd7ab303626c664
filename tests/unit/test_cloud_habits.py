"""The verbs against habits of the real API: late lists, late tags, pending events, broken pages, odd answers."""

from __future__ import annotations

import json
import shutil
import time
from typing import Any

import pytest

from runner.cloud import Cloud, calls, digitalocean
from runner.cloud.model import Zone, record_of
from runner.project import Project
from runner.servers.access import Access
from tests.support.local_api import TOKEN, Api
from tests.support.storm import twin

pytestmark = pytest.mark.unit

RECORDS = "domains/coursehub.test/records"
#: The request is carried out, but its answer is lost.
LOST = {"after": True, "status": 504, "body": "<html>"}
USELESS = ("", '{"droplets": [{"id"', [], {"droplets": {}}, {"droplet": None}, "null")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digitalocean, "PAUSE", 0.05)
    monkeypatch.setattr(calls, "PENDING_PAUSE", 0.05)
    monkeypatch.setattr(calls.random, "uniform", lambda _least, _most: 0.01)


def habits(api: Api, **seconds: float) -> None:
    (api.state / "manners.json").write_text(json.dumps(seconds))


def faults(api: Api, *entries: dict[str, Any]) -> None:
    (api.state / "faults.json").write_text(json.dumps(entries))


def _droplets(api: Api) -> list[Any]:
    return api.ok("GET", "droplets?per_page=200")["droplets"]


def ids(api: Api) -> list[int]:
    """All existing droplets, whatever a list says."""
    with api.cloud.reading() as store:
        return [droplet.id for droplet in store.account.droplets]


@pytest.mark.parametrize("late", [{"listed_after": 2.0}, {"tags_after": 2.0}, {"listed_after": 2.0, "tags_after": 3.0}])
def test_new_droplet_that_lists_lack_is_one(coursehub: Any, api: Api, late: dict[str, float]) -> None:
    """``up`` and its rerun use the id from the create's answer; ``down`` leaves nothing that costs money."""
    habits(api, **late)
    for _ in range(2):
        assert "SSH on 127.0.0.9" in coursehub("up", "phys", "--yes").line
    assert len(ids(api)) == 1
    assert coursehub("down", "phys", "--yes").code == 0
    assert ids(api) == []


@pytest.mark.parametrize("late", [{"listed_after": 1.0}, {"tags_after": 3.0}])
def test_lost_answer_and_late_list_is_one(coursehub: Any, api: Api, late: dict[str, float]) -> None:
    """The create's answer is lost and the droplet is not listed, or has no tags: the verb waits for the order."""
    habits(api, **late)
    faults(api, {"path_regex": "^/v2/droplets/?$", "method": "POST", "times": 1, **LOST})
    assert "SSH on" in coursehub("up", "phys", "--yes").line
    assert len(ids(api)) == 1


def test_killed_while_ordering_is_adopted_with_its_key(coursehub: Any, api: Api, project: Project) -> None:
    """A runner died after it sent the order; the rerun finds the droplet and keeps the host key that it was given."""
    habits(api, listed_after=1.0)
    coursehub("up", "phys", "--yes")
    access = Access(project, "phys")
    key = access.first_host_key()
    # As on disk at that moment: no id yet, only the record of an order.
    (access.directory / "server.json").unlink()
    access.begin_order("phys.coursehub.test")
    assert "SSH on" in coursehub("up", "phys", "--yes").line
    assert len(ids(api)) == 1
    assert access.first_host_key() == key


def test_down_finds_a_droplet_of_an_unanswered_order(coursehub: Any, api: Api, project: Project) -> None:
    habits(api, listed_after=1.0)
    coursehub("up", "phys", "--yes")
    access = Access(project, "phys")
    (access.directory / "server.json").unlink()
    access.begin_order("phys.coursehub.test")
    assert coursehub("down", "phys", "--yes").code == 0
    assert ids(api) == []


def test_order_that_came_to_nothing_is_sent_again(
    coursehub: Any, api: Api, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digitalocean, "LATE_SECONDS", 0.3)
    faults(api, {"path_regex": "^/v2/droplets/?$", "method": "POST", "times": 1, "status": 504, "body": "<html>"})
    assert "run the same command again" in coursehub("up", "phys", "--yes").line
    assert Access(project, "phys").order_begun()
    assert ids(api) == []
    assert "SSH on" in coursehub("up", "phys", "--yes").line
    assert len(ids(api)) == 1


def test_deleted_droplet_that_is_listed_is_no_server(coursehub: Any, api: Api) -> None:
    """``up`` right after ``down`` makes a new server although the old one is still listed."""
    habits(api, deleted_listed_for=30.0)
    coursehub("up", "phys", "--yes")
    first = ids(api)
    assert coursehub("down", "phys", "--yes").code == 0
    assert coursehub("status", "phys", "--json").document["courses"][0]["state"] == "none"
    assert "SSH on" in coursehub("up", "phys", "--yes").line
    assert len(ids(api)) == 1
    assert ids(api) != first


def test_pending_event_is_waited_for(coursehub: Any, api: Api) -> None:
    habits(api, pending_for=1.0)
    coursehub("up", "phys", "--yes")
    began = time.monotonic()
    assert coursehub("down", "phys", "--yes").code == 0
    assert ids(api) == []
    assert time.monotonic() - began < 30


def test_pending_event_without_end_is_reported(coursehub: Any, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "PENDING_TRIES", 3)
    habits(api, pending_for=60.0)
    coursehub("up", "phys", "--yes")
    line = coursehub("down", "phys", "--yes").line
    assert "runs another action on the droplet" in line
    assert "nothing was done" not in line
    habits(api)
    assert coursehub("down", "phys", "--yes").code == 0
    assert ids(api) == []


def test_droplet_without_networks_is_waited_for(coursehub: Any, api: Api) -> None:
    habits(api, address_after=1.0)
    assert "SSH on 127.0.0.9" in coursehub("up", "phys", "--yes").line
    for verb in ("apply", "status"):
        assert "error of coursehub's own" not in coursehub(verb, "phys").err


@pytest.mark.parametrize(
    ("path", "body"),
    [
        *(("^/v2/droplets", body) for body in USELESS),
        *((path, "<html>") for path in ("^/v2/droplets", "^/v2/account/keys", "^/v2/domains", "^/v2/sizes")),
    ],
)
def test_useless_success_is_asked_for_again(coursehub: Any, api: Api, body: Any, path: str) -> None:
    """HTTP 200 with a truncated, empty or foreign body is no answer: it is retried, and reported if it stays."""
    faults(api, {"path_regex": path, "method": "GET", "times": 2, "status": 200, "body": body})
    assert "SSH on" in coursehub("up", "phys", "--yes").line
    faults(api, {"path_regex": path, "method": "GET", "status": 200, "body": body})
    line = coursehub("down", "phys", "--yes").line
    if path != "^/v2/sizes":
        assert "its answer (HTTP 200) makes no sense" in line or "reading the DNS records" in line
        assert "own" not in line


def test_error_on_a_later_page_is_not_the_end(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records on page 2 are found although the first request for that page fails."""
    monkeypatch.setattr(calls, "PAGE", 2)
    cloud = Cloud("the cloud", f"{api.url}/v2/", TOKEN)
    zone = Zone("coursehub.test")
    for number in range(5):
        cloud.ensure_record(zone, record_of("phys.coursehub.test", "192.0.2.1")) if not number else api.ok(
            "POST", RECORDS, {"type": "A", "name": "phys", "data": f"192.0.2.{number + 1}", "ttl": 300}
        )
    api.ok("POST", RECORDS, {"type": "A", "name": "phys", "data": "192.0.2.1", "ttl": 600})
    failed: list[str] = []
    send = cloud._calls._session.request

    def second_page_fails_once(method: str, url: str, **options: Any) -> Any:
        if (options.get("params") or {}).get("page") == 2 and not failed:
            failed.append(url)
            return send(method, f"{api.url}/v2/nothing-there-but-an-error".replace("/v2/", "/v3/"), **options)
        return send(method, url, **options)

    monkeypatch.setattr(cloud._calls._session, "request", second_page_fails_once)
    with pytest.raises(Exception, match="not found"):
        cloud.remove_record(zone, record_of("phys.coursehub.test", "192.0.2.1"))
    cloud.remove_record(zone, record_of("phys.coursehub.test", "192.0.2.1"))
    left = [record["data"] for record in api.ok("GET", f"{RECORDS}?type=A")["domain_records"]]
    assert left == ["192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5"]


def test_record_that_exists_already_is_done(api: Api) -> None:
    """The answer to a create was lost; the provider refuses the next try as a duplicate."""
    cloud = Cloud("the cloud", f"{api.url}/v2/", TOKEN)
    faults(
        api,
        {"path_regex": "records$", "method": "POST", "times": 1, **LOST},
        {"path_regex": "records$", "method": "POST", "status": 422,
         "body": {"id": "unprocessable_entity", "message": "A record with this name and data exists already."}},
    )  # fmt: skip
    assert cloud.ensure_record(Zone("coursehub.test"), record_of("phys.coursehub.test", "192.0.2.1")) is True
    assert len(api.ok("GET", f"{RECORDS}?type=A")["domain_records"]) == 1


def test_power_on_whose_answer_was_lost_is_no_error(coursehub: Any, api: Api) -> None:
    coursehub("up", "phys", "--yes")
    (droplet,) = ids(api)
    api.wait_action(api.ok("POST", f"droplets/{droplet}/actions", {"type": "power_off"})["action"]["id"])
    faults(api, {"path_regex": "actions/?$", "method": "POST", "times": 1, **LOST})
    assert "SSH on" in coursehub("up", "phys", "--yes").line


@pytest.mark.parametrize(
    ("message", "line_of", "todo"),
    [
        ("You specified an invalid size for Droplet creation.", "size:", "choose another size"),
        ("The image is not available in this region.", "image:", "choose another image"),
        ("creating this/these droplet(s) will exceed your droplet limit", "domain:", "raise the account's limit"),
    ],
)
def test_refused_order_leaves_nothing_and_names_a_line(
    coursehub: Any, api: Api, project: Project, message: str, line_of: str, todo: str
) -> None:
    body = {"id": "unprocessable_entity", "message": message}
    faults(api, {"path_regex": "^/v2/droplets/?$", "method": "POST", "status": 422, "body": body})
    ended = coursehub("up", "phys", "--yes")
    lines = project.course_file("phys").read_text(encoding="utf-8").splitlines()
    number = next(number for number, line in enumerate(lines, 1) if line.strip().startswith(line_of))
    assert ended.code == 2
    assert f"pillar/courses/phys.sls:{number}: " in ended.line
    assert "nothing was made" in ended.line
    assert todo in ended.line
    assert api.ok("GET", "account/keys")["ssh_keys"] == []


def test_size_that_the_region_lacks_is_refused_before(coursehub: Any, api: Api) -> None:
    sizes = api.ok("GET", "sizes?per_page=200")["sizes"]
    for size in sizes:
        size["regions"] = ["fra1"]
    faults(api, {"path_regex": "^/v2/sizes", "status": 200, "body": {"sizes": sizes, "links": {}, "meta": {}}})
    ended = coursehub("up", "phys", "--yes")
    assert ended.code == 2
    assert "not in sfo3 but in fra1" in ended.line
    assert api.ok("GET", "account/keys")["ssh_keys"] == []
    assert ids(api) == []


@pytest.mark.parametrize("token", [f"{TOKEN}\r\n", f" {TOKEN}\n"])
def test_token_pasted_with_a_line_break_is_taken(
    coursehub: Any, api: Api, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setenv("DIGITALOCEAN_ACCESS_TOKEN", token)
    monkeypatch.setenv("DIGITALOCEAN_END_POINT", f"{api.url}/v2")
    assert "SSH on" in coursehub("up", "phys", "--yes").line
    assert len(ids(api)) == 1


@pytest.mark.parametrize(
    ("name", "value"), [("ACCESS_TOKEN", "dop v1"), ("ACCESS_TOKEN", "dop\rv1"), ("END_POINT", "api")]
)
def test_unusable_token_or_endpoint_fails_at_once(
    coursehub: Any, api: Api, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"DIGITALOCEAN_{name}", value)
    ended = coursehub("up", "phys", "--yes")
    assert ended.code == 2
    assert f"DIGITALOCEAN_{name}" in ended.line
    assert ids(api) == []


def test_colleague_without_keys_cannot_delete(coursehub: Any, api: Api, project: Project) -> None:
    coursehub("up", "phys", "--yes")
    before = ids(api)
    shutil.rmtree(project.state / "servers")
    ended = coursehub("down", "phys", "--yes")
    assert ended.code == 1
    assert "its keys are not here, so nothing was changed" in ended.line
    assert ids(api) == before
    assert len(api.ok("GET", f"{RECORDS}?type=A")["domain_records"]) == 3


def test_another_server_of_the_course_is_not_ours(coursehub: Any, api: Api) -> None:
    """The server that this computer made was deleted, and a colleague's computer made another one, which is theirs."""
    coursehub("up", "phys", "--yes")
    with api.cloud.changing() as store:
        (ours,) = store.account.droplets
        theirs = ours.model_copy(update={"id": store.new_id(), "slot": 99})
        store.account.droplets = [theirs]
    for verb in (["up", "--yes"], ["apply"], ["down", "--yes"]):
        assert "its keys are not here" in coursehub(*verb, "phys").line
    assert ids(api) == [theirs.id]
    assert len(api.ok("GET", f"{RECORDS}?type=A")["domain_records"]) == 3


def test_down_leaves_no_tag_of_ours(coursehub: Any, api: Api) -> None:
    coursehub("up", "phys", "--yes")
    assert api.ok("GET", "tags")["tags"]
    coursehub("down", "phys", "--yes")
    assert api.ok("GET", "tags")["tags"] == []


def test_status_names_twins(coursehub: Any, api: Api) -> None:
    coursehub("up", "phys", "--yes")
    with twin(api):
        ended = coursehub("status", "phys")
    assert ended.code == 1
    assert "has 2 droplets for phys" in ended.err


def test_create_sends_no_key_without_a_value(coursehub: Any, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Any] = []
    request = calls.requests.Session.request

    def note(session: Any, method: str, url: str, **options: Any) -> Any:
        sent.append((method, options.get("data")))
        return request(session, method, url, **options)

    monkeypatch.setattr(calls.requests.Session, "request", note)
    coursehub("up", "phys", "--yes")
    bodies = [json.loads(data) for method, data in sent if method == "POST"]
    assert [body["name"] for body in bodies if "user_data" in body] == [droplet["name"] for droplet in _droplets(api)]
    # The API wants two keys of an NS record empty.
    bodies = [body for body in bodies if body.get("type") != "NS"]
    assert not [key for body in bodies for key, value in body.items() if value is None]


def test_hourly_limit_is_reported_with_its_end(coursehub: Any, api: Api) -> None:
    reset = int(time.time()) + 34 * 60
    faults(
        api,
        {"path_regex": "^/v2/droplets", "status": 429, "headers": {"ratelimit-reset": str(reset)},
         "body": {"id": "too_many_requests", "message": "API Rate limit exceeded."}},
    )  # fmt: skip
    line = coursehub("status", "phys").err
    assert f"after {time.strftime('%H:%M', time.localtime(reset))} (in 34 minutes)" in line
