"""A server from its order to its deletion, with the verbs against the API over real HTTP. SSH never answers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from runner import course as courses
from runner import local
from runner.cloud import tag_of
from runner.cloud.model import maker
from runner.errors import CoursehubError
from runner.local import host, network
from runner.local.identity import Identity
from runner.local.store import Droplet, Store
from runner.project import Project
from runner.providers import LocalAccount
from runner.session import Session, names
from tests.support.course_text import set_value
from tests.support.local_api import Api

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("size: s-4vcpu-8gb", "size: s-4vcpu-8bg", "has no size 's-4vcpu-8bg'; did you mean s-4vcpu-8gb?"),
        ("image:", "region: mars1\n  image:", "has no region 'mars1'; there are: "),
        (
            "phys.coursehub.test",
            "phys.example.edu",
            "DigitalOcean has no DNS zone for phys.example.edu (there: coursehub.test)",
        ),
    ],
)
def test_invalid_order_is_refused_before_anything_is_made(
    coursehub: Any, api: Api, project: Project, old: str, new: str, says: str
) -> None:
    set_value(project, old, new)
    ended = coursehub("up", "phys", "--yes")
    assert ended.code == 2
    assert says in ended.line
    assert "pillar/courses/phys.sls:" in ended.line
    assert api.ok("GET", "droplets")["droplets"] == []


def test_the_life_of_a_server_whose_ssh_never_answers(coursehub: Any, api: Api, project: Project) -> None:
    """Ordered once, found again by its tag, and deleted with its records and its key."""
    for _ in range(2):
        ended = coursehub("up", "phys", "--yes")
        assert ended.code == 1
        assert "SSH on 127.0.0.9 does not answer" in ended.line
        assert "coursehub down phys" in ended.line
    (droplet,) = api.ok("GET", f"droplets?tag_name={tag_of('phys')}")["droplets"]
    assert droplet["name"] == "phys.coursehub.test"
    records = api.ok("GET", "domains/coursehub.test/records?type=A")["domain_records"]
    pointed = {record["name"]: record["data"] for record in records}
    assert pointed == dict.fromkeys(("phys", "www.phys", "*.phys"), "127.0.0.9")
    (delegated,) = api.ok("GET", "domains/coursehub.test/records?type=NS&name=_acme-challenge.phys.coursehub.test")[
        "domain_records"
    ]
    assert delegated["data"] == "phys.coursehub.test"
    assert coursehub("status", "phys", "--json").document["courses"][0]["state"] == "active"
    assert [key["name"] for key in api.ok("GET", "account/keys")["ssh_keys"]] == ["coursehub-phys"]

    ended = coursehub("down", "phys", "--yes", "--json")
    assert (ended.code, ended.document["removed"]) == (0, [droplet["id"]])
    for path, key in (
        ("droplets", "droplets"),
        ("domains/coursehub.test/records?type=A", "domain_records"),
        ("account/keys", "ssh_keys"),
    ):
        assert api.ok("GET", path)[key] == []
    assert not (project.state / "servers" / "phys").exists()
    assert coursehub("down", "phys", "--yes").out == "phys: nothing was there\n"


@pytest.fixture
def droplet(coursehub: Any, api: Api, project: Project) -> int:
    """A server after its first contact, which no longer answers."""
    coursehub("up", "phys", "--yes")
    for path in (project.state / "servers/phys").glob("first_host_key*"):
        path.unlink()
    return int(api.ok("GET", "droplets")["droplets"][0]["id"])


def power_off(api: Api, droplet: int) -> None:
    assert api.wait_action(api.ok("POST", f"droplets/{droplet}/actions", {"type": "power_off"})["action"]["id"])


def test_looking_at_a_server_that_is_off_leaves_it_off(coursehub: Any, api: Api, droplet: int) -> None:
    power_off(api, droplet)
    for verb in ("plan", "check"):
        ended = coursehub(verb, "phys")
        assert ended.code == 1
        assert f"droplet {droplet} is off; run 'coursehub up phys'" in ended.line
    assert "off" in coursehub("status").out
    assert api.machines.boots == {droplet: 1}
    ended = coursehub("apply", "phys")
    assert "SSH on 127.0.0.9 does not answer" in ended.line
    assert api.machines.boots == {droplet: 2}


@pytest.mark.parametrize("verb", ["apply", "plan"])
def test_what_only_a_new_server_can_have_is_a_note(coursehub: Any, project: Project, droplet: int, verb: str) -> None:
    del droplet
    assert "only a new server" not in coursehub(verb, "phys").out
    set_value(project, "size: s-4vcpu-8gb", "size: s-8vcpu-16gb")
    set_value(project, "image: debian-13-x64", "image: debian-12-x64")
    ended = coursehub(verb, "phys", "--json")
    # The error is the failed SSH; the notes come in addition.
    assert "SSH on 127.0.0.9 does not answer" in ended.line
    # The first note is that this course has no backup target.
    backup, size, image = ended.document["courses"]["phys"]["notes"]
    assert "backup" in backup
    (line,) = [n for n, text in enumerate(project.course_file("phys").read_text().splitlines(), 1) if "size:" in text]
    assert size == (
        f"pillar/courses/phys.sls:{line}: size is s-8vcpu-16gb here and s-4vcpu-8gb on the server; only a new server "
        "gets it: 'coursehub down phys' (deletes the files on it), then up. Everything else continues"
    )
    assert "image is debian-12-x64 here and debian-13-x64 on the server" in image
    assert f"phys: note: {size}" in coursehub(verb, "phys").out


def test_down_removes_the_names_of_before_too(coursehub: Any, api: Api, project: Project, droplet: int) -> None:
    """A changed domain, then a teacher who makes the records by hand; other people's records stay."""
    records = "domains/coursehub.test/records"
    theirs = api.ok("POST", records, {"type": "A", "name": "shop", "data": "127.0.0.9"})["domain_record"]
    set_value(project, "domain: phys.coursehub.test", "domain: waves.coursehub.test")
    assert "SSH on" in coursehub("apply", "phys").line
    set_value(project, "cloud: digitalocean", "dns: manual\n  cloud: digitalocean")
    names = {record["name"] for record in api.ok("GET", f"{records}?type=A")["domain_records"]}
    assert names == {"phys", "www.phys", "*.phys", "waves", "www.waves", "*.waves", "shop"}
    # Deleted in the control panel, so the account no longer knows its address.
    api.ok("DELETE", f"droplets/{droplet}")
    assert coursehub("down", "phys", "--yes").code == 0
    assert api.ok("GET", f"{records}?type=A")["domain_records"] == [theirs]
    assert not (project.state / "servers/phys").exists()


def test_name_of_another_local_cloud_is_refused_with_its_line(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(host, "HOSTS", tmp_path / "hosts")
    for module in (host, network):
        monkeypatch.setattr(module, "DATA_ROOT", tmp_path / "data")
    here = local.LocalCloud("", "", "", tmp_path, tmp_path, "", "", "", tmp_path)
    session = Session(project, "phys", courses.load(project, "phys"), LocalAccount(here, project.state))
    host.HOSTS.write_text("")
    names.need_names(session)
    other = Identity.of(tmp_path / "other/.coursehub")
    host.HOSTS.write_text(f"10.0.0.1 www.phys.coursehub.test {other.hosts_mark}\n")
    record = tmp_path / "data" / other.key / "network.json"
    record.parent.mkdir(parents=True)
    other.state.mkdir(parents=True)
    record.write_text(json.dumps({"state": str(other.state), "network": "10.101.1.0/24"}))
    with pytest.raises(CoursehubError, match=r"^pillar/courses/phys.sls:\d+: www.phys.coursehub.test leads to") as said:
        names.need_names(session)
    assert f"take that hub down first: COURSEHUB_ROOT={tmp_path}/other ./coursehub status" in str(said.value)


def test_an_interrupted_up_is_named_as_that(coursehub: Any, api: Api) -> None:
    del api
    coursehub("up", "phys", "--yes")
    for verb in ("apply", "plan", "check"):
        assert "its up was interrupted; run 'coursehub up phys'" in coursehub(verb, "phys").line


@pytest.mark.parametrize("machine", [False, True])
def test_looking_starts_no_local_cloud(coursehub: Any, project: Project, machine: bool) -> None:
    set_value(project, "cloud: digitalocean", "cloud: local")
    state, says = "none", "has no server; run 'coursehub up phys'"
    if machine:
        # After a reboot: the account knows the machine, and nothing runs.
        store = Store(project.state / "cloud/account.json")
        order = {"size": "s-1vcpu-1gb", "disk": 25, "image": "debian-13-x64", "region": "nyc3"}
        store.account.droplets = [
            Droplet(
                **order, id=7, name="x", slot=10, tags=[tag_of("phys")], public_keys=[], user_data="", created_at=""
            )
        ]
        store.save()
        state, says = "off", "droplet 7 is off; run 'coursehub up phys'"
    planned = coursehub("plan", "phys")
    assert planned.code == (1 if machine else 0)
    assert (says if machine else "phys: up makes s-") in planned.out + planned.err
    looked = coursehub("check", "phys")
    assert looked.code == 1
    assert says in looked.line
    assert coursehub("status", "--json").document["courses"][0]["state"] == state
    if not machine:
        # The same for a verb that would change something.
        assert says in coursehub("apply", "phys").line
        assert coursehub("down", "phys").out == "phys: nothing was there\n"
    assert not (project.state / "cloud/server.json").exists()
    assert (project.state / "cloud").exists() == machine


def test_a_server_made_on_another_computer_is_not_taken_over(coursehub: Any, api: Api, project: Project) -> None:
    coursehub("up", "phys", "--yes")
    shutil.rmtree(project.state / "servers")
    for verb in (["up"], ["apply"], ["down", "--yes"]):
        ended = coursehub(*verb, "phys")
        assert ended.code == 1
        assert f"was made by {maker()} (user and computer) and its keys are not here" in ended.line
    assert len(api.ok("GET", "droplets")["droplets"]) == 1


def test_dns_by_hand_makes_no_records(coursehub: Any, api: Api, project: Project) -> None:
    set_value(project, "  cloud: digitalocean", "  dns: manual\n  cloud: digitalocean")
    set_value(project, "phys.coursehub.test", "phys.example.edu")
    assert "SSH on" in coursehub("up", "phys", "--yes").line
    assert api.ok("GET", "domains/coursehub.test/records?type=A")["domain_records"] == []
