"""A server in another cloud or account is never forgotten: it would cost money unnoticed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runner.project import Project
from runner.servers.access import Access
from tests.support.local_api import TOKEN, Api, served

pytestmark = pytest.mark.unit


def ids(api: Api) -> list[int]:
    with api.cloud.reading() as store:
        return [droplet.id for droplet in store.account.droplets]


@pytest.fixture
def other(tmp_path: Any, monkeypatch: pytest.MonkeyPatch, api: Api) -> Any:
    """Another account at the same provider, and a function that activates its token."""
    (tmp_path / "other").mkdir()
    with served(tmp_path / "other") as running:
        account = api.ok("GET", "account")["account"] | {"uuid": "0b5e1de3-0b5e-4de3-8b5e-0b5e1de30b5e"}
        fault = {"path_regex": "^/v2/account/?$", "status": 200, "body": {"account": account}}
        (running.state / "faults.json").write_text(json.dumps([fault]))

        def use(which: Api = running) -> Api:
            monkeypatch.setenv("DIGITALOCEAN_END_POINT", f"{which.url}/v2/")
            return which

        yield use


@pytest.mark.parametrize("verb", [("up", "--yes"), ("apply",), ("status",), ("down", "--yes")])
def test_another_accounts_token_is_refused(coursehub: Any, api: Api, other: Any, verb: tuple[str, ...]) -> None:
    coursehub("up", "phys", "--yes")
    elsewhere = other()
    ended = coursehub(*verb, "phys")
    assert ended.code == 2
    assert "was made in another account of DigitalOcean" in ended.line
    assert "set DIGITALOCEAN_ACCESS_TOKEN" in ended.line
    assert TOKEN not in ended.err
    assert ids(elsewhere) == []
    other(api)
    assert coursehub("down", "phys", "--yes").code == 0
    assert ids(api) == []


def test_an_unanswered_order_is_not_sought_elsewhere(
    coursehub: Any, api: Api, other: Any, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order's answer was lost; another account's token must not order a second server."""
    monkeypatch.setattr("runner.cloud.digitalocean.LATE_SECONDS", 0.1)
    fault = {"path_regex": "^/v2/droplets/?$", "method": "POST", "status": 504, "body": "<html>"}
    (api.state / "faults.json").write_text(json.dumps([fault]))
    coursehub("up", "phys", "--yes")
    assert Access(project, "phys").order_begun()
    elsewhere = other()
    assert "another account" in coursehub("up", "phys", "--yes").line
    assert ids(elsewhere) == []


@pytest.mark.parametrize("verb", [("up", "--yes"), ("apply",), ("plan",), ("status",), ("check",), ("down", "--yes")])
def test_a_changed_cloud_is_refused_with_its_line(
    coursehub: Any, api: Api, project: Project, verb: tuple[str, ...]
) -> None:
    coursehub("up", "phys", "--yes")
    path = project.course_file("phys")
    text = path.read_text(encoding="utf-8")
    number = next(number for number, line in enumerate(text.splitlines(), 1) if line.strip().startswith("cloud:"))
    path.write_text(text.replace("cloud: digitalocean", "cloud: local"), encoding="utf-8")
    ended = coursehub(*verb, "phys")
    assert ended.code == 2
    assert f"pillar/courses/phys.sls:{number}: the server of phys was made with cloud: digitalocean" in ended.line
    assert "coursehub down phys" in ended.line
    path.write_text(text, encoding="utf-8")
    assert coursehub("down", "phys", "--yes").code == 0
    assert ids(api) == []


def test_a_refused_order_binds_to_no_account(coursehub: Any, api: Api, other: Any) -> None:
    body = {"id": "unprocessable_entity", "message": "You specified an invalid size for Droplet creation."}
    fault = {"path_regex": "^/v2/droplets/?$", "method": "POST", "status": 422, "body": body}
    (api.state / "faults.json").write_text(json.dumps([fault]))
    coursehub("up", "phys", "--yes")
    other()
    assert "SSH on" in coursehub("up", "phys", "--yes").line
    assert coursehub("down", "phys", "--yes").code == 0


def test_an_order_drops_what_was_of_the_old_server(project: Project) -> None:
    access = Access(project, "phys")
    access.client_key()
    old = (access.new_key_file, access.old_key_file, access.applied, access.shipped, access.known_hosts)
    for path in old:
        path.write_text("of the old server", encoding="utf-8")
    access.forget_old_server()
    assert not [path for path in old if path.exists()]
    assert access.key_file.exists()
