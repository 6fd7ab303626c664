"""The verbs as typed, against the API over real HTTP. No machine: what needs one ends in its line."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
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
from runner.servers.access import Access
from runner.session import Session, names
from tests.support.local_api import Api

pytestmark = pytest.mark.unit

REPO = Path(__file__).resolve().parents[2]


def set_value(project: Project, old: str, new: str) -> None:
    path = project.course_file("phys")
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("fly",), "No such command 'fly'"),
        (("up",), "Missing argument 'COURSE'"),
        (("up", "phys", "--fast"), "No such option"),
        (("apply",), "say which courses, or --all"),
        (("plan", "phys", "--all"), "say which courses, or --all"),
        (("up", "phis"), "did you mean phys?"),
        (("check", "chem"), "there are: phys"),
        (("down", "phys"), "say 'coursehub down phys --yes'"),
        (("up", "phys"), "DIGITALOCEAN_ACCESS_TOKEN"),
        (("test", "unti"), "no suite 'unti'"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_exit_2(
    coursehub: Any, project: Project, arguments: tuple[str, ...], says: str
) -> None:
    del project
    ended = coursehub(*arguments)
    assert ended.code == 2
    assert says in ended.line
    assert ended.line.startswith("coursehub: ")
    assert ended.out == ""
    # A script gets the same line as a document.
    with_json = coursehub(*arguments, "--json")
    assert with_json.code == 2
    assert with_json.document["error"] == with_json.line.removeprefix("coursehub: ")


def test_a_wrong_option_names_the_verbs_own_help(coursehub: Any) -> None:
    assert coursehub("up").line == "coursehub: Missing argument 'COURSE'; 'coursehub up --help' shows how"


@pytest.mark.parametrize("group", [(), ("local",)])
def test_no_verb_at_all_shows_what_there_is(coursehub: Any, group: tuple[str, ...]) -> None:
    ended = coursehub(*group)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("Usage: coursehub")
    assert "  status " in ended.err


def test_without_a_course_there_is_a_way_to_one(coursehub: Any, project: Project) -> None:
    project.course_file("phys").unlink()
    for verb in (("status",), ("apply", "--all"), ("plan", "--all")):
        assert coursehub(*verb).out == "there is no course yet; 'coursehub new' writes a course file\n"


def test_what_few_verbs_need_is_loaded_by_those() -> None:
    """What is loaded here, the verbs that a teacher types most wait for each time."""
    asked = (
        "import sys, runner.cli.main, runner.verbs.up, runner.verbs.converge, runner.verbs.look; print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", asked], cwd=REPO, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "pydantic" in loaded
    assert loaded & {"jinja2", "cryptography.x509", "salt", "starlette", "uvicorn"} == set()


def test_help_names_every_verb(coursehub: Any) -> None:
    ended = coursehub("--help")
    assert ended.code == 0
    verbs = ("up", "apply", "plan", "check", "status", "ssh", "logs", "down", "lock", "local", "test")
    for verb in (*verbs, "roster", "passwords", "secrets"):
        assert f"  {verb} " in ended.out


@pytest.mark.parametrize(
    "verb", [("ssh", "phys"), ("ssh", "phys", "true", "--json"), ("logs", "phys", "-f"), ("logs", "phys", "--json")]
)
def test_verbs_that_need_a_server_say_so(coursehub: Any, project: Project, verb: tuple[str, ...]) -> None:
    del project
    ended = coursehub(*verb)
    assert ended.code == 1
    assert "has no server; run 'coursehub up phys'" in ended.line


@pytest.mark.parametrize("verb", [("check",), ("ssh",), ("logs",), ("lock",), ("down", "--yes"), ("up",)])
def test_json_of_a_verb_that_fails(coursehub: Any, project: Project, verb: tuple[str, ...]) -> None:
    set_value(project, "contact:", "contakt:")
    ended = coursehub(verb[0], "phys", *verb[1:], "--json")
    assert ended.code == 2
    assert ended.document["course"] == "phys"
    assert "did you mean contact?" in ended.document["error"]


def test_up_says_what_it_has_when_it_fails(coursehub: Any, api: Api) -> None:
    ended = coursehub("up", "phys", "--yes", "--json")
    assert ended.code == 1
    assert "SSH on 127.0.0.9 does not answer" in ended.document["error"]
    assert (ended.document["course"], ended.document["url"]) == ("phys", "https://phys.coursehub.test/")
    assert ended.document["seconds"]["server"] >= 0.3
    for name in ("ssh", "logs"):
        ended = coursehub(name, "phys", "--json")
        assert "SSH to 127.0.0.9 failed" in ended.document["error"]
    api.ok("DELETE", f"droplets?tag_name={tag_of('phys')}")
    assert "has no server" in coursehub("check", "phys", "--json").document["error"]


def test_status_tells_of_all_courses_though_one_cannot_be_asked(coursehub: Any, project: Project) -> None:
    project.course_file("wave").write_text(
        project.course_file("phys").read_text(encoding="utf-8").replace("cloud: digitalocean", "cloud: local"), "utf-8"
    )
    ended = coursehub("status", "--json")
    assert (ended.code, ended.document["error"]) == (2, ended.line.removeprefix("coursehub: "))
    assert [(row["course"], row["state"]) for row in ended.document["courses"]] == [
        ("phys", "unknown"),
        ("wave", "none"),
    ]
    assert coursehub("status").out.splitlines()[1:] == [
        "phys                 unknown  -            -              -               -",
        "wave                 none     local        s-4vcpu-8gb    -               https://phys.coursehub.test/",
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        ("up", "chem"),
        ("check", "chem"),
        ("lock", "chem"),
        ("signin", "chem"),
        ("material", "chem"),
        ("roster", "show", "chem"),
        ("passwords", "chem"),
        ("secrets", "show", "chem"),
        ("audit", "chem"),
        ("new", "phys"),
        ("down", "chem", "--yes"),
    ],
    ids=" ".join,
)
def test_json_of_a_failure_names_the_course(coursehub: Any, arguments: tuple[str, ...]) -> None:
    ended = coursehub(*arguments, "--json")
    assert ended.code != 0
    assert ended.document["course"] == next(word for word in arguments if word in ("chem", "phys"))
    assert ended.line == f"coursehub: {ended.document['error']}"


def test_an_error_of_our_own_is_a_line_and_a_file(
    coursehub: Any, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(courses, "course_ids", broken)
    ended = coursehub("apply", "--all", "--json")
    assert ended.code == 1
    assert ended.document["error"].startswith("an error of coursehub's own (ZeroDivisionError: a bug)")
    log = project.state / "error.log"
    assert "Traceback" in log.read_text(encoding="utf-8")
    assert log.stat().st_mode & 0o077 == 0


def test_apply_and_check_without_a_server(coursehub: Any, api: Api) -> None:
    assert api.ok("GET", "droplets")["droplets"] == []
    every = coursehub("apply", "--all")
    assert (every.code, every.out) == (0, "skipped: phys has no server; run 'coursehub up phys'\n")
    ended = coursehub("apply", "phys", "--json")
    assert ended.code == 1
    assert "has no server" in ended.document["courses"]["phys"]["error"]
    assert "has no server" in ended.line
    # Said once: a result there is none.
    assert coursehub("apply", "phys").out == ""
    assert "has no server" in coursehub("check", "phys").line


def test_status_of_nothing(coursehub: Any, api: Api) -> None:
    del api
    assert coursehub("status", "--json").document == {
        "courses": [
            {
                "course": "phys",
                "cloud": "digitalocean",
                "state": "none",
                "ip": None,
                "url": "https://phys.coursehub.test/",
                "size": "s-4vcpu-8gb",
                "certificate_days": None,
            }
        ]
    }
    assert "phys" in coursehub("status").out


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
def test_what_cannot_be_ordered_is_refused_before_anything_is_made(
    coursehub: Any, api: Api, project: Project, old: str, new: str, says: str
) -> None:
    set_value(project, old, new)
    ended = coursehub("up", "phys", "--yes")
    assert ended.code == 2
    assert says in ended.line
    assert "pillar/courses/phys.sls:" in ended.line
    assert api.ok("GET", "droplets")["droplets"] == []


def test_the_life_of_a_server_whose_ssh_never_answers(coursehub: Any, api: Api, project: Project) -> None:
    """Ordered once, found again by its tag, and gone with its records and its key."""
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
    """A server that was met, though nothing answers any more."""
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
    assert "note:" not in coursehub(verb, "phys").out
    set_value(project, "size: s-4vcpu-8gb", "size: s-8vcpu-16gb")
    set_value(project, "image: debian-13-x64", "image: debian-12-x64")
    ended = coursehub(verb, "phys", "--json")
    # That SSH fails is what fails; the notes are beside it.
    assert "SSH on 127.0.0.9 does not answer" in ended.line
    size, image = ended.document["courses"]["phys"]["notes"]
    (line,) = [n for n, text in enumerate(project.course_file("phys").read_text().splitlines(), 1) if "size:" in text]
    assert size == (
        f"pillar/courses/phys.sls:{line}: size is s-8vcpu-16gb here and s-4vcpu-8gb on the server; only a new server "
        "gets it: 'coursehub down phys' (deletes the files on it), then up. Everything else goes on"
    )
    assert "image is debian-12-x64 here and debian-13-x64 on the server" in image
    assert f"phys: note: {size}" in coursehub(verb, "phys").out


def test_down_removes_the_names_of_before_too(coursehub: Any, api: Api, project: Project, droplet: int) -> None:
    """A domain that changed, then a teacher who makes the records by hand; records of others stay."""
    records = "domains/coursehub.test/records"
    theirs = api.ok("POST", records, {"type": "A", "name": "shop", "data": "127.0.0.9"})["domain_record"]
    set_value(project, "domain: phys.coursehub.test", "domain: waves.coursehub.test")
    assert "SSH on" in coursehub("apply", "phys").line
    set_value(project, "cloud: digitalocean", "dns: manual\n  cloud: digitalocean")
    names = {record["name"] for record in api.ok("GET", f"{records}?type=A")["domain_records"]}
    assert names == {"phys", "www.phys", "*.phys", "waves", "www.waves", "*.waves", "shop"}
    # Deleted in the control panel, so that the account no longer knows its address.
    api.ok("DELETE", f"droplets/{droplet}")
    assert coursehub("down", "phys", "--yes").code == 0
    assert api.ok("GET", f"{records}?type=A")["domain_records"] == [theirs]
    assert not (project.state / "servers/phys").exists()


def test_a_name_that_another_local_cloud_has_is_refused_with_its_line(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(host, "HOSTS", tmp_path / "hosts")
    for module in (host, network):
        monkeypatch.setattr(module, "DATA_ROOT", tmp_path / "data")
    here = local.LocalCloud("", "", "", tmp_path, tmp_path, "", "", tmp_path)
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
        # A computer that was switched off: the account knows of the machine, and nothing runs.
        store = Store(project.state / "cloud/account.json")
        order = {"size": "s-1vcpu-1gb", "disk": 25, "image": "debian-13-x64", "region": "nyc3"}
        store.account.droplets = [
            Droplet(
                **order, id=7, name="x", slot=10, tags=[tag_of("phys")], public_keys=[], user_data="", created_at=""
            )
        ]
        store.save()
        state, says = "off", "droplet 7 is off; run 'coursehub up phys'"
    for verb in ("plan", "check"):
        ended = coursehub(verb, "phys")
        assert ended.code == 1
        assert says in ended.line
    assert coursehub("status", "--json").document["courses"][0]["state"] == state
    if not machine:
        # Nor does a verb that would change something, if there were something.
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


def test_a_changed_package_list_without_its_lock_is_refused(coursehub: Any, api: Api, project: Project) -> None:
    set_value(project, "packages: [numpy,", "packages: [numpy, astropy,")
    ended = coursehub("up", "phys", "--yes")
    assert ended.code == 2
    assert "coursehub lock phys" in ended.line
    assert api.ok("GET", "droplets")["droplets"] == []


def test_a_full_disk_or_a_file_that_cannot_be_written_is_one_line(
    coursehub: Any, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    Access(project, "phys")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", str(project.state / "roster"))

    monkeypatch.setattr(courses, "course_ids", full)
    ended = coursehub("apply", "--all")
    assert ended.code == 1
    assert "No space left on device" in ended.line
    assert "roster" in ended.line
