"""The command line, against the API over real HTTP and without a server: errors, help and JSON."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from runner import course as courses
from runner.cloud import tag_of
from runner.project import Project
from runner.servers.access import Access
from runner.servers.claim import claim
from tests.support.course_text import set_value
from tests.support.local_api import Api

pytestmark = pytest.mark.unit
REPO = Path(__file__).resolve().parents[2]


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
    # A script gets the same line in a document.
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
    """Modules that are loaded here slow down the most used verbs each time."""
    asked = (
        "import sys, runner.cli.main, runner.verbs.up, runner.verbs.converge, runner.verbs.look; print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", asked], cwd=REPO, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "pydantic" in loaded
    assert loaded & {"jinja2", "cryptography.x509", "salt", "starlette", "uvicorn"} == set()


@pytest.mark.parametrize("group", ["", "roster", "secrets", "keys", "local"])
def test_help_of_a_group_cuts_no_sentence(coursehub: Any, group: str) -> None:
    """A list of verbs shows the first sentence of each; one that is too long would end in dots."""
    assert "..." not in coursehub(*filter(None, [group]), "--help").out.partition("Commands:")[2]


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
    # The message is printed once: there is no result.
    assert coursehub("apply", "phys").out == ""
    assert "has no server" in coursehub("check", "phys").line


def test_check_beside_another_verb_says_to_look_again(coursehub: Any, api: Api, project: Project) -> None:
    """What it finds while `up` runs is no fault of the hub."""
    del api
    with claim(project, "phys", "up"):
        line = coursehub("check", "phys").line
    assert "runs 'up' on it" in line
    assert line.endswith("; look again when that has ended")


def test_status_of_nothing(coursehub: Any, api: Api) -> None:
    del api
    ended = coursehub("status", "--json").document
    assert "phys has no backup" in ended["courses"][0]["notes"][0]
    assert ended == {
        "courses": [
            {
                "course": "phys",
                "cloud": "digitalocean",
                "state": "none",
                "ip": None,
                "url": "https://phys.coursehub.test/",
                "size": "s-4vcpu-8gb",
                "certificate_days": None,
                "notes": ended["courses"][0]["notes"],
            }
        ]
    }
    assert "phys" in coursehub("status").out


def test_a_changed_package_list_without_its_lock_is_refused(coursehub: Any, api: Api, project: Project) -> None:
    set_value(project, "packages: [numpy,", "packages: [numpy, astropy,")
    ended = coursehub("up", "phys", "--yes")
    assert ended.code == 2
    assert "coursehub lock phys" in ended.line
    assert api.ok("GET", "droplets")["droplets"] == []


def test_full_disk_or_unwritable_file_is_one_line(
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
