"""The cloud's faults of the list of faults that this product survives, each over a bad network with three seeds."""

from __future__ import annotations

import random
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from runner.cloud import Cloud, calls, digitalocean
from runner.cloud.claims import STALE, Claim
from runner.cloud.model import tag_of
from runner.project import Project
from tests.support.bad_line import BadLine
from tests.support.local_api import TOKEN, Api
from tests.support.storm import (
    LOST,
    UP,
    faults,
    ids,
    killed,
    left,
    line,  # noqa: F401
    quick,  # noqa: F401
    side_by_side,
    until,
)

pytestmark = [pytest.mark.unit, pytest.mark.timeout(300)]

ORDERS = "^/v2/droplets/?$"
REASON = {"id": "unprocessable_entity", "message": "creating this droplet will exceed your droplet limit"}


def one_order(line: BadLine) -> bool:
    """Whether the cloud accepted exactly one order."""
    return line.answered("POST", "/v2/droplets").count(202) == 1


def test_seeds_fault_1_rate_limit(coursehub: Any, api: Api, line: BadLine) -> None:
    limit = {"status": 429, "headers": {"Retry-After": "0"}, "body": {"id": "too_many_requests", "message": "later"}}
    faults(api, {"path_regex": ORDERS, "method": "POST", "times": 2, **limit})
    until(coursehub, api, "up", says=UP)
    assert line.answered("POST", "/v2/droplets")[:2] == [429, 429]
    assert one_order(line)


def test_seeds_fault_2_errors_and_silence(
    coursehub: Any, api: Api, line: BadLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Orders fail in four ways, reads in four ways three times each; then nobody answers for a while."""
    monkeypatch.setattr(calls, "REQUEST_SECONDS", 0.3)
    ways: list[dict[str, Any]] = [
        {"status": 500, "body": {"id": "server_error", "message": "oops"}},
        {"status": 502, "body": "<html>Bad Gateway</html>"},
        {"status": 503, "body": {"message": "no id here"}},
        {"reset": True},
    ]
    random.Random(line.seed).shuffle(ways)
    faults(
        api,
        *({"path_regex": ORDERS, "method": "POST", "times": 1, **way} for way in ways),
        *({"path_regex": "^/v2/(droplets|domains)", "method": "GET", "times": 3, **way} for way in ways),
        {"path_regex": "^/v2/droplets", "method": "GET", "times": 1, "delay_s": 0.6},
    )
    until(coursehub, api, "up", says=UP)
    assert one_order(line)
    assert len(ids(api)) == 1


@pytest.mark.parametrize("lost", [LOST, {"after": True, "reset": True}, {"after": True, "status": 202, "body": []}])
def test_seeds_fault_3_lost_create(coursehub: Any, api: Api, line: BadLine, lost: dict[str, Any]) -> None:
    faults(api, {"path_regex": ORDERS, "method": "POST", "times": 1, **lost})
    until(coursehub, api, "up", says=UP)
    assert len(ids(api)) == 1
    until(coursehub, api, "down")
    assert left(api) == []
    del line


def test_seeds_fault_5_stuck_in_new(coursehub: Any, api: Api, line: BadLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digitalocean, "BOOT_SECONDS", 0.3)
    api.machines.hold.set()
    said = until(coursehub, api, "up", says="is still 'new'")
    (droplet,) = ids(api)
    assert f"droplet {droplet} is still 'new' after 0 s" in said
    assert "0.071 dollars an hour" in said
    assert "coursehub down phys" in said
    api.machines.hold.clear()
    monkeypatch.setattr(digitalocean, "BOOT_SECONDS", 30)
    until(coursehub, api, "up", says=UP)
    assert ids(api) == [droplet]
    del line


def test_seeds_fault_6_token_is_refused_half_way(coursehub: Any, api: Api, line: BadLine) -> None:
    """From one kind of request on, which the seed chooses, the token is no longer valid or may not do it."""
    chance = random.Random(line.seed)
    where = chance.choice(["account/keys", "droplets/[0-9]+", "firewalls", "projects", "domains/coursehub.test"])
    for status in (401, 403):
        said = {"id": "unauthorized", "message": "Unable to authenticate you"}
        faults(api, {"path_regex": f"^/v2/{where}", "status": status, "body": said})
        until(coursehub, api, "up", says=f"refused the token ({status})")
    faults(api)
    until(coursehub, api, "up", says=UP)
    assert one_order(line)
    until(coursehub, api, "down")
    assert left(api) == []


def test_seeds_fault_7_order_is_refused(coursehub: Any, api: Api, project: Project, line: BadLine) -> None:
    """Also: nothing of the order is left, and the line of the course file is named."""
    faults(api, {"path_regex": ORDERS, "method": "POST", "status": 422, "body": REASON})
    said = until(coursehub, api, "up", says="nothing was made")
    number = 1 + [text.strip()[:7] for text in project.course_file("phys").read_text().splitlines()].index("domain:")
    assert f"phys.sls:{number}: DigitalOcean refused to make the server: creating this droplet will" in said
    assert "ask the provider to raise the account's limit" in said
    assert left(api) == []
    assert not (project.state / "servers/phys/order.json").exists()
    del line


def test_seeds_fault_8_lists_of_several_pages(coursehub: Any, api: Api, line: BadLine) -> None:
    """The droplet is found among 250, without the id on this computer's disk."""
    until(coursehub, api, "up", says=UP)
    (droplet,) = ids(api)
    with api.cloud.changing() as store:
        (ours,) = store.account.droplets
        others = [
            ours.model_copy(update={"id": store.new_id(), "name": f"other{number}", "tags": ["coursehub"]})
            for number in range(249)
        ]
        store.account.droplets[:0] = [one.model_copy(update={"on": False, "status": "off"}) for one in others]
    cloud = Cloud("DigitalOcean", f"{line.url}/v2/", TOKEN)
    assert [server.id for server in cloud.find("phys")] == [droplet]
    assert tag_of("phys") in ours.tags


def test_seeds_fault_9_delete_fails_then_404(coursehub: Any, api: Api, line: BadLine) -> None:
    until(coursehub, api, "up", says=UP)
    (droplet,) = ids(api)
    answer = {"status": 500, "after": True, "body": {"id": "server_error", "message": "oops"}}
    faults(api, {"path_regex": f"^/v2/droplets/{droplet}$", "method": "DELETE", "times": 1, **answer})
    until(coursehub, api, "down")
    assert left(api) == []
    del line


@pytest.mark.parametrize("computers", [1, 2])
def test_seeds_fault_10_two_runners(
    coursehub: Any, api: Api, project: Project, line: BadLine, tmp_path: Path, computers: int
) -> None:
    """Two ``up`` at the same time, in one working copy and in two: one droplet at most, and one is told of the other.

    In two working copies both may give up, as the API has no locks; then one that comes later goes on.
    """
    other = project.root if computers == 1 else tmp_path / "colleague"
    if computers == 2:
        shutil.copytree(project.root, other)
    said = side_by_side(("up", project.root, tmp_path / "one"), ("up", other, tmp_path / "two"))
    assert len(ids(api)) <= 1, said
    assert any("runs 'up' on it" in one for one in said), said
    if not (other / ".coursehub/servers/phys/server.json").exists() or computers == 1:
        until(coursehub, api, "up", says=UP)
    assert one_order(line)


def test_seeds_fault_11_lock_of_a_dead_runner(coursehub: Any, api: Api, line: BadLine) -> None:
    """A killed run's locks stop no later run here; a colleague's claim counts until it is too old."""
    chance = random.Random(line.seed)
    assert killed("up", chance.randrange(3, 12), after=True)
    until(coursehub, api, "up", says=UP)
    cloud = Cloud("DigitalOcean", f"{api.url}/v2/", TOKEN)
    fresh, old = (Claim(int(time.time() - age), "elsewhere", "apply", "curie-laptop") for age in (60, STALE + 60))
    assert cloud.claims.take("phys", fresh) is None
    said = until(coursehub, api, "up", says="curie-laptop (user and computer) runs 'apply' on it since")
    assert f"its claim ends at {time.strftime('%H:%M', time.localtime(fresh.since + STALE))}" in said
    cloud.claims.drop("phys", fresh)
    cloud.claims.take("phys", old)
    until(coursehub, api, "down")
    assert left(api) == []
