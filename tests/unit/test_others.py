"""Things that cost money and that coursehub did not make: ``down`` names them with their cost, and leaves them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runner.project import Project
from runner.servers.access import Access
from tests.support.local_api import Api

pytestmark = pytest.mark.unit


def volume(number: int, *droplets: int, tags: tuple[str, ...] = ()) -> dict[str, Any]:
    region = {"name": "New York 3", "slug": "nyc3", "sizes": [], "features": [], "available": True}
    return {
        "id": f"506f78a4-e098-11e5-ad9f-000f5330618{number}", "name": f"data-{number}", "description": "",
        "droplet_ids": list(droplets), "region": region, "size_gigabytes": 100, "tags": list(tags),
        "created_at": "2026-03-02T17:00:49Z", "filesystem_type": "ext4", "filesystem_label": "",
    }  # fmt: skip


def put(api: Api, **others: list[dict[str, Any]]) -> None:
    with api.cloud.changing() as store:
        store.account.others = others


def test_down_names_what_was_attached_and_leaves_it(coursehub: Any, api: Api, project: Project) -> None:
    coursehub("up", "phys", "--yes")
    server = Access(project, "phys").server()
    assert server is not None
    theirs = [volume(1, server.id), volume(2, 7), volume(3, tags=("coursehub:phys",)), volume(4)]
    balancers = [{"id": "x", "name": "in-front", "droplet_ids": [server.id]}, {"id": "y", "name": "not", "tags": []}]
    put(api, volumes=theirs, load_balancers=balancers)
    ended = coursehub("down", "phys", "--yes")
    assert ended.code == 0
    assert "left: volume data-1, about 10 dollars a month; coursehub did not make it" in ended.out
    assert "volume data-3" in ended.out
    assert "load balancer in-front, about 12" in ended.out
    assert "data-2" not in ended.out
    assert "data-4" not in ended.out
    assert "nothing is left that costs money" not in ended.out
    with api.cloud.reading() as store:
        assert store.account.others["volumes"] == theirs


def test_down_says_when_nothing_is_left(coursehub: Any, api: Api) -> None:
    coursehub("up", "phys", "--yes")
    put(api, volumes=[volume(1, 7)])
    ended = coursehub("down", "phys", "--yes", "--json")
    assert ended.document["left"] == []
    assert len(ended.document["removed"]) == 1


def test_a_token_that_may_not_list_them_takes_down_all_the_same(coursehub: Any, api: Api) -> None:
    coursehub("up", "phys", "--yes")
    body = {"id": "forbidden", "message": "You are not authorized to perform this operation"}
    fault = {"path_regex": "^/v2/(volumes|snapshots|reserved_ips|load_balancers)", "status": 403, "body": body}
    (api.state / "faults.json").write_text(json.dumps([fault]))
    assert coursehub("down", "phys", "--yes").code == 0
    with api.cloud.reading() as store:
        assert store.account.droplets == []
