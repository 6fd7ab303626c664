"""What the real cloud does and a simple one does not, each over a bad network with three seeds."""

from __future__ import annotations

import json
import random
import shutil
import time
from typing import Any

import pytest
import requests

from runner.cloud import calls
from runner.cloud.calls import SCOPES
from runner.cloud.health import _PROBES
from runner.cloud.model import maker
from runner.project import Project
from tests.support.bad_line import BadLine
from tests.support.local_api import TOKEN, Api
from tests.support.storm import (
    HABITS,
    LOST,
    UP,
    faults,
    habits,
    ids,
    left,
    line,  # noqa: F401
    quick,  # noqa: F401
    twin,
    until,
)

pytestmark = [pytest.mark.unit, pytest.mark.timeout(300)]

RECORDS = "domains/coursehub.test/records"


def records(api: Api, kind: str = "A") -> list[str]:
    return [one["data"] for one in api.ok("GET", f"{RECORDS}?type={kind}&per_page=200")["domain_records"]]


@pytest.mark.parametrize("late", ["listed_after", "tags_after"])
def test_seeds_new_droplet_is_listed_late(coursehub: Any, api: Api, line: BadLine, late: str) -> None:
    """The verbs use the id from the create's answer: ``up`` twice makes one, and ``down`` deletes it unlisted."""
    habits(api, **{late: 60.0})
    until(coursehub, api, "up", says=UP)
    (droplet,) = ids(api)
    until(coursehub, api, "up", says=UP)
    assert ids(api) == [droplet]
    until(coursehub, api, "down")
    assert left(api) == []
    del line


def test_seeds_deleted_droplet_is_still_listed(coursehub: Any, api: Api, line: BadLine) -> None:
    until(coursehub, api, "up", says=UP)
    first = ids(api)
    until(coursehub, api, "down")
    listed = [one["id"] for one in api.ok("GET", "droplets")["droplets"]]
    assert listed == first, "the cloud lists it, though it is gone"
    until(coursehub, api, "up", says=UP)
    assert len(ids(api)) == 1
    assert ids(api) != first
    del line


def test_seeds_success_with_useless_content(coursehub: Any, api: Api, line: BadLine) -> None:
    """HTTP 200 with four kinds of nonsense is retried, and reported as such if it stays."""
    kinds: list[Any] = ["", '{"droplets": [{"id"', [], {"droplets": None}, "<html>"]
    random.Random(line.seed).shuffle(kinds)
    faults(
        api,
        *({"path_regex": "^/v2/droplets", "method": "GET", "times": 1, "status": 200, "body": one} for one in kinds),
    )
    until(coursehub, api, "up", says=UP)
    faults(api, {"path_regex": "^/v2/droplets", "method": "GET", "status": 200, "body": kinds[0]})
    until(coursehub, api, "down", says="its answer (HTTP 200) makes no sense")
    faults(api)
    until(coursehub, api, "down")
    assert left(api) == []


def test_seeds_errors_on_later_pages(coursehub: Any, api: Api, line: BadLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every later page fails at first; ``down`` finds all records and keys, and leaves others' alone."""
    monkeypatch.setattr(calls, "PAGE", 2)
    for number in range(3):
        api.ok("POST", RECORDS, {"type": "A", "name": f"web{number}", "data": "192.0.2.1", "ttl": 300})
        api.ok("POST", "tags", {"name": f"theirs{number}"})
    before = left(api)
    habits(api, **HABITS, pages_fail=1)
    until(coursehub, api, "up", says=UP)
    assert len(ids(api)) == 1
    until(coursehub, api, "down")
    assert left(api) == before
    del line


def test_seeds_droplet_without_networks(coursehub: Any, api: Api, line: BadLine) -> None:
    """``networks: {}``, as in the description's own example, is waited for; no verb stops in the middle."""
    habits(api, address_after=0.8)
    until(coursehub, api, "up", says=UP)
    habits(api, address_after=60.0)
    for verb in ("apply", "status"):
        ended = coursehub(verb, "phys")
        assert "error of coursehub's own" not in ended.err, ended.err
    del line


def test_seeds_pending_event_is_waited_for(
    coursehub: Any, api: Api, line: BadLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A delete while the droplet is locked waits, and says so when that has no end; a lost power-on is no error."""
    until(coursehub, api, "up", says=UP)
    (droplet,) = ids(api)
    api.wait_action(api.ok("POST", f"droplets/{droplet}/actions", {"type": "power_off"})["action"]["id"])
    faults(api, {"path_regex": "actions/?$", "method": "POST", "times": 1, **LOST})
    until(coursehub, api, "up", says=UP)
    habits(api, pending_for=600.0)
    with monkeypatch.context() as patched:
        patched.setattr(calls, "PENDING_TRIES", 3)
        said = until(coursehub, api, "down", says="runs another action on the droplet")
    assert "nothing was done" not in said
    habits(api, pending_for=0.3)
    until(coursehub, api, "down")
    assert left(api) == []
    del line


def test_seeds_record_exists_already(coursehub: Any, api: Api, line: BadLine) -> None:
    """The answer to each create is lost, and the provider refuses the repetition as a duplicate."""
    duplicate = {"id": "unprocessable_entity", "message": "A record with this name and data exists already."}
    faults(
        api,
        {"path_regex": "records$", "method": "POST", "times": 1, **LOST},
        {"path_regex": "records$", "method": "POST", "times": 1, "status": 422, "body": duplicate},
    )
    until(coursehub, api, "up", says=UP)
    assert records(api) == ["127.0.0.9"] * 3, "three names, and no record twice"
    until(coursehub, api, "down")
    assert left(api) == []
    del line


def test_seeds_token_with_a_line_break(
    coursehub: Any, api: Api, line: BadLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pasted on Windows, and an endpoint without its last slash; a token that cannot be one costs no call."""
    monkeypatch.setenv("DIGITALOCEAN_ACCESS_TOKEN", f"{TOKEN}\r\n")
    monkeypatch.setenv("DIGITALOCEAN_END_POINT", f"{line.url}/v2")
    until(coursehub, api, "up", says=UP)
    seen = line.seen
    monkeypatch.setenv("DIGITALOCEAN_ACCESS_TOKEN", "dop\rv1")
    assert "DIGITALOCEAN_ACCESS_TOKEN" in coursehub("down", "phys", "--yes").line
    assert line.seen == seen


def test_seeds_colleague_cannot_delete(coursehub: Any, api: Api, project: Project, line: BadLine) -> None:
    """Without the keys neither verb touches the server; both say who made it and how to get the keys."""
    until(coursehub, api, "up", says=UP)
    before = left(api)
    shutil.move(project.state / "servers", project.state / "elsewhere")
    for verb in ("down", "up"):
        said = until(coursehub, api, verb, says="its keys are not here")
        assert f"was made by {maker()} (user and computer)" in said
        assert "copy .coursehub/servers/phys from there" in said
    assert left(api) == before
    shutil.move(project.state / "elsewhere", project.state / "servers")
    until(coursehub, api, "down")
    assert left(api) == []
    del line


def test_seeds_down_leaves_no_tag_and_twins_show(coursehub: Any, api: Api, line: BadLine) -> None:
    until(coursehub, api, "up", says=UP)
    time.sleep(HABITS["tags_after"])
    assert {"coursehub", "coursehub:phys"} <= {one["name"] for one in api.ok("GET", "tags")["tags"]}
    with twin(api):
        ended = coursehub("status", "phys")
    assert ended.code == 1
    assert "has 2 droplets for phys" in ended.err
    until(coursehub, api, "down")
    assert left(api) == []
    del line


def test_seeds_no_key_without_a_value_is_sent(coursehub: Any, api: Api, line: BadLine) -> None:
    until(coursehub, api, "up", says=UP)
    until(coursehub, api, "down")
    bodies = [json.loads(body) for method, _, body, _ in line.log if method in ("POST", "PUT") and body]
    assert [body for body in bodies if "user_data" in body]
    # The API wants two keys of an NS record empty.
    assert not [body for body in bodies if None in body.values() and body.get("type") != "NS"]


def test_seeds_limit_of_the_hour_is_told(coursehub: Any, api: Api, line: BadLine) -> None:
    """Requests of others in this process are as they were."""
    send = requests.Session.send
    reset = int(time.time()) + 34 * 60
    limit = {"status": 429, "headers": {"ratelimit-reset": str(reset)}, "body": {"message": "API Rate limit exceeded."}}
    faults(api, {"path_regex": "^/v2/droplets", **limit})
    when = f"after {time.strftime('%H:%M', time.localtime(reset))} (in 34 minutes)"
    assert "takes no more requests for now" in until(coursehub, api, "up", says=when)
    assert requests.Session.send is send
    del line


def test_seeds_missing_scope_is_named(coursehub: Any, api: Api, line: BadLine) -> None:
    """``doctor`` names the scope that the seed takes away, and an error of ``up`` names all that are needed."""
    scope, method, path = random.Random(line.seed).choice([one for one in _PROBES if one[0].startswith("droplet:")])
    said = {"id": "forbidden", "message": "You are not authorized to perform this operation"}
    faults(api, {"path_regex": f"^/v2/{path}$", "method": method, "status": 403, "body": said})
    for _ in range(12):
        found = {one["name"]: one["detail"] for one in coursehub("doctor", "phys", "--json").document["checks"]}
        if "the token lacks" in found["scopes"]:
            break
    assert f"the token lacks {scope};" in found["scopes"]
    faults(api, {"path_regex": "^/v2/account/keys", "status": 403, "body": said})
    assert SCOPES in until(coursehub, api, "up", says="a custom token needs the scopes")
    assert ids(api) == []
