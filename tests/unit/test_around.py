"""What ``up`` creates around a server, what ``down`` leaves, and what belongs to no course."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest

from runner.project import Project
from tests.support.local_api import Api

pytestmark = pytest.mark.unit

RECORDS = "domains/coursehub.test/records"
LOST = {"after": True, "status": 504, "body": "<html>"}


def faults(api: Api, *entries: dict[str, Any]) -> None:
    (api.state / "faults.json").write_text(json.dumps(entries))


def inbound(firewall: Any) -> set[tuple[str, str]]:
    return {(rule["protocol"], rule["ports"]) for rule in firewall["inbound_rules"]}


def isolate(project: Project, how: str) -> None:
    path = project.course_file("phys")
    path.write_text(path.read_text(encoding="utf-8").replace("course:\n", f"course:\n  isolation: {how}\n", 1))


def test_up_makes_a_firewall_a_project_and_caa(coursehub: Any, api: Api, project: Project) -> None:
    isolate(project, "paths")
    coursehub("up", "phys", "--yes")
    (droplet,) = api.ok("GET", "droplets")["droplets"]
    (firewall,) = api.ok("GET", "firewalls")["firewalls"]
    assert firewall["name"] == "coursehub-phys"
    assert firewall["droplet_ids"] == [droplet["id"]]
    assert inbound(firewall) == {("tcp", "22"), ("tcp", "80"), ("tcp", "443")}
    (project,) = api.ok("GET", "projects")["projects"]
    assert project["name"] == "coursehub"
    (resource,) = api.ok("GET", f"projects/{project['id']}/resources")["resources"]
    assert resource["urn"] == f"do:droplet:{droplet['id']}"
    (caa,) = api.ok("GET", f"{RECORDS}?type=CAA")["domain_records"]
    assert (caa["name"], caa["data"], caa["flags"], caa["tag"]) == ("phys", "letsencrypt.org", 0, "issue")
    again = [api.ok("GET", path) for path in ("firewalls", "projects", f"{RECORDS}?type=CAA")]
    coursehub("up", "phys", "--yes")
    assert [api.ok("GET", path) for path in ("firewalls", "projects", f"{RECORDS}?type=CAA")] == again


def test_subdomains_let_questions_for_names_in(coursehub: Any, api: Api, project: Project) -> None:
    """The server itself answers the authority's DNS questions, on port 53."""
    isolate(project, "subdomains")
    coursehub("up", "phys", "--yes")
    (firewall,) = api.ok("GET", "firewalls")["firewalls"]
    web = {("tcp", "22"), ("tcp", "80"), ("tcp", "443")}
    assert inbound(firewall) == web | {("tcp", "53"), ("udp", "53")}


def test_a_changed_firewall_is_set_right(coursehub: Any, api: Api) -> None:
    coursehub("up", "phys", "--yes")
    (firewall,) = api.ok("GET", "firewalls")["firewalls"]
    rule = {"protocol": "tcp", "ports": "8888", "sources": {"addresses": ["0.0.0.0/0"]}}
    body = {"name": firewall["name"], "inbound_rules": [rule], "droplet_ids": []}
    api.ok("PUT", f"firewalls/{firewall['id']}", body)
    coursehub("up", "phys", "--yes")
    (mended,) = api.ok("GET", "firewalls")["firewalls"]
    assert inbound(mended) == inbound(firewall)
    assert mended["droplet_ids"] == firewall["droplet_ids"]


@pytest.mark.parametrize("path", ["^/v2/firewalls/?$", "^/v2/projects/?$"])
def test_a_lost_answer_makes_no_second(coursehub: Any, api: Api, path: str) -> None:
    faults(api, {"path_regex": path, "method": "POST", "times": 1, **LOST})
    assert "SSH on" in coursehub("up", "phys", "--yes").line
    assert len(api.ok("GET", "firewalls")["firewalls"]) == 1
    assert len(api.ok("GET", "projects")["projects"]) == 1


def test_down_leaves_nothing_around(coursehub: Any, api: Api) -> None:
    foreign = {"type": "CAA", "name": "phys", "data": "ca.example.org.", "flags": 0, "tag": "issue", "ttl": 1800}
    api.ok("POST", RECORDS, foreign)
    coursehub("up", "phys", "--yes")
    assert len(api.ok("GET", f"{RECORDS}?type=CAA")["domain_records"]) == 2
    ended = coursehub("down", "phys", "--yes")
    assert ended.code == 0
    assert "nothing is left that costs money" in ended.out
    for path, key in (("firewalls", "firewalls"), ("projects", "projects"), ("tags", "tags"), ("droplets", "droplets")):
        assert api.ok("GET", path)[key] == []
    (left,) = api.ok("GET", f"{RECORDS}?type=CAA")["domain_records"]
    assert left["data"] == "ca.example.org"


def test_a_project_with_other_things_stays(coursehub: Any, api: Api) -> None:
    coursehub("up", "phys", "--yes")
    (project,) = api.ok("GET", "projects")["projects"]
    api.ok("POST", f"projects/{project['id']}/resources", {"resources": ["do:domain:coursehub.test"]})
    assert coursehub("down", "phys", "--yes").code == 0
    assert len(api.ok("GET", "projects")["projects"]) == 1


def test_down_says_what_is_left(coursehub: Any, api: Api) -> None:
    """A duplicate that no list showed until the end of ``down`` costs money, so ``down`` fails."""
    coursehub("up", "phys", "--yes")
    with api.cloud.changing() as store:
        (ours,) = store.account.droplets
        twin = ours.model_copy(update={"id": store.new_id(), "slot": 99, "tags": []})
        store.account.droplets.append(twin)
    # Its tags appear when the other one is deleted.
    destroy = api.cloud.destroy

    def late(number: int) -> None:
        destroy(number)
        twin.tags = ["coursehub", "coursehub:phys"]

    api.cloud.destroy = late  # type: ignore[method-assign]
    faults(api, {"path_regex": "^/v2/tags/coursehub", "method": "DELETE", "status": 404, "body": {}})
    ended = coursehub("down", "phys", "--yes")
    assert ended.code == 1
    assert f"still has droplet {twin.id} of phys, which costs money" in ended.line


@pytest.mark.usefixtures("api")
def test_orphans_are_listed_with_their_price(coursehub: Any, project: Project) -> None:
    coursehub("up", "phys", "--yes")
    assert "belongs to no course here" in coursehub("orphans").out
    assert coursehub("orphans", "--json").document["orphans"] == []
    shutil.move(project.course_file("phys"), project.root / "phys.sls")
    document = coursehub("orphans", "--json").document
    (droplet,) = [one for one in document["orphans"] if one["kind"] == "droplet"]
    assert (droplet["course"], droplet["why"], droplet["month"]) == ("phys", "no course 'phys' is here", 48.0)
    assert document["month"] == pytest.approx(48.0)
    shutil.move(project.root / "phys.sls", project.course_file("phys"))
    shutil.rmtree(project.state / "servers")
    (droplet,) = coursehub("orphans", "--json").document["orphans"]
    assert "has another server, or none" in droplet["why"]
    assert "together 48 dollars a month" in coursehub("orphans").out


def test_orphans_of_a_dead_server_are_listed(coursehub: Any, api: Api) -> None:
    rule = {"protocol": "tcp", "ports": "22", "sources": {"addresses": ["0.0.0.0/0"]}}
    api.ok("POST", "firewalls", {"name": "coursehub-chem", "inbound_rules": [rule]})
    api.ok("POST", "firewalls", {"name": "somebody-elses", "inbound_rules": [rule]})
    (found,) = coursehub("orphans", "--json").document["orphans"]
    assert (found["kind"], found["name"]) == ("firewall", "coursehub-chem")


def test_orphans_without_an_account_are_refused(coursehub: Any, project: Project) -> None:
    del project
    ended = coursehub("orphans")
    assert ended.code == 2
    assert "DIGITALOCEAN_ACCESS_TOKEN" in ended.line


@pytest.mark.parametrize(
    "body",
    [
        {"name": "a b", "inbound_rules": [{}]},
        {"name": "wall"},
        {"name": "wall", "inbound_rules": [{"protocol": "tcp", "ports": 22, "sources": {}}]},
        {"name": "wall", "inbound_rules": [{"protocol": "sctp", "ports": "22", "sources": {}}]},
    ],
)
def test_a_firewall_that_is_none_is_refused(api: Api, body: Any) -> None:
    assert api.call("POST", "firewalls", body).status_code == 422
