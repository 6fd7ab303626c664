"""Course material for teachers: links, deploy keys, and what is refused before a server is changed."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
import yaml

from runner import course as courses
from runner.course.model import CourseFile
from runner.course.problems import find
from runner.course.source import Source
from runner.errors import CoursehubError
from runner.project import Project
from runner.secrets import Secrets
from runner.setup import material
from runner.verbs import courses as course_verbs
from runner.verbs import material as material_verb
from tests.support.projects import empty_project
from tests.support.typed import Ended, typed

pytestmark = pytest.mark.unit

OTHER_HOST = {
    "name": "own",
    "url": "ssh://git@git.example.edu:2222/x.git",
    "host_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJY0hfTg0wlA3oxSvWLBd6aNTPOTYJVzfmj9Zsi0Yl5T",
}
PUBLIC = {"name": "labs", "url": "https://github.com/physics/labs"}
PRIVATE = {"name": "projects", "url": "git@github.com:physics/projects.git", "branch": "spring"}


def course_of(repositories: list[dict[str, Any]], data: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    return {
        "course": {
            "title": "Physics 1",
            "domain": "phys1.example.edu",
            "contact": "prof@example.edu",
            "cloud": "digitalocean",
            "material": {"repositories": repositories, "data": data or []},
            "people": {"professors": [{"account": "curie", "name": "M C"}]},
        }
    }


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    return empty_project(tmp_path, monkeypatch)


def write(project: Project, document: dict[str, Any]) -> None:
    project.course_file("phys").write_text("#!yaml\n" + yaml.safe_dump(document, sort_keys=False), encoding="utf-8")


@pytest.fixture
def coursehub(project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    del project

    def run(*arguments: str) -> Ended:
        return typed(monkeypatch, capsys, *arguments)

    return run


@pytest.mark.parametrize("opens", [None, "week-1/lab1.ipynb", "übung 1/50% & more?#1.ipynb", "a+b=c.py"])
def test_a_link_survives_every_letter(opens: str | None) -> None:
    course = CourseFile.model_validate(course_of([{**PUBLIC, **({"open": opens} if opens else {})}])).course
    link = material.link(course, course.material.repositories[0])
    parts = urlsplit(link)
    assert (parts.scheme, parts.netloc, parts.path) == (
        "https", "phys1.example.edu", "/hub/user-redirect/git-pull",
    )  # fmt: skip
    asked = parse_qs(parts.query, strict_parsing=True)
    assert asked["repo"] == ["file:///srv/class/material/labs"]
    assert asked["branch"] == ["main"]
    # The address itself may contain encoded characters, which must not end the path.
    path = urlsplit(f"https://x/{asked['urlpath'][0]}").path
    assert unquote(path) == "/lab/tree/labs" + (f"/{opens}" if opens else "")
    assert link.isascii()
    assert not set(link) & set(" \"'<>")


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("git@github.com:x/y.git", "github.com", None),
        ("ssh://git@git.example.edu:2222/x.git", "git.example.edu", 2222),
        ("ssh://git.example.edu/x", "git.example.edu", None),
        ("https://gitlab.com/x/y", "gitlab.com", None),
    ],
)
def test_an_addresss_host(url: str, host: str, port: int | None) -> None:
    given = {**OTHER_HOST, "url": url}
    if url.startswith("https"):
        del given["host_key"]
    (repository,) = CourseFile.model_validate(course_of([given])).course.material.repositories
    assert (repository.host, repository.port, repository.private) == (host, port, not url.startswith("https"))


@pytest.mark.parametrize(
    ("repositories", "data", "says"),
    [
        (
            [{"name": "x", "url": "ssh://git@git.example.edu:2222/x.git"}], [],
            "material.repositories.1: we do not know the SSH key of git.example.edu; add host_key: what 'ssh-keyscan "
            "-t ed25519 -p 2222 git.example.edu' prints",
        ),
        ([{**PUBLIC, "host_key": OTHER_HOST["host_key"]}], [], "host_key is for addresses of git@ or ssh://"),
        ([PUBLIC, {**PUBLIC}], [], "material: repositories has the name labs twice; give each their own"),
        ([], [{"name": "r", "source": "https://x.org/r"}], "material.data.1: sha256 is missing; add what 'curl -L "),
        ([], [{"name": "r", "source": "r", "sha256": "0" * 64}], "sha256 is for an https:// source; take it out"),
        ([], [{"name": "r", "source": "r"}, {"name": "r", "source": "r"}], "material: data has the name r twice"),
    ],
)  # fmt: skip
def test_what_belongs_together_is_there(project: Project, repositories: list[Any], data: list[Any], says: str) -> None:
    write(project, course_of(repositories, data))
    (problem,) = find(Source(project.course_file("phys"), "phys.sls"))
    assert says in problem.message
    lines = project.course_file("phys").read_text().splitlines()
    assert lines[problem.line - 1].lstrip().startswith(("- name", "material", "repositories", "data"))


def test_a_data_file_is_there_and_small(project: Project) -> None:
    write(project, course_of([], [{"name": "h.csv", "source": "heights.csv"}]))
    with pytest.raises(
        CoursehubError, match=r"phys\.sls:\d+: material\.data\.1\.source: pillar/files/data/heights\.csv"
    ):
        courses.load(project, "phys")
    project.data.mkdir(parents=True)
    (project.data / "hights.csv").write_text("1")
    with pytest.raises(CoursehubError, match=r"did you mean hights\.csv\?"):
        courses.load(project, "phys")
    (project.data / "heights.csv").write_bytes(b"0" * 5_000_001)
    with pytest.raises(
        CoursehubError, match=r"has 5\.0 MB, and each apply sends it; if it is above 5 MB, put it on a web"
    ):
        courses.load(project, "phys")
    (project.data / "heights.csv").write_text("1")
    assert courses.load(project, "phys").material.data[0].name == "h.csv"


def test_the_verb_makes_keys_and_shows_links(coursehub: Any, project: Project) -> None:
    write(project, course_of([PUBLIC, PRIVATE], [{"name": "r.csv", "source": "https://x.org/r", "sha256": "0" * 64}]))
    with pytest.raises(CoursehubError, match="projects needs a deploy key; run 'coursehub material phys'") as refused:
        material.need(courses.load(project, "phys"), "phys", Secrets(project, "phys"), "phys.sls:1")
    assert refused.value.exit_code == 2
    (problem,) = [
        one for one in course_verbs.validate(project, ["phys"])["courses"][0]["errors"] if "deploy" in str(one)
    ]
    assert problem["message"].startswith("material.repositories: projects needs a deploy key")

    document = json.loads(coursehub("material", "phys", "--json").out)
    labs, projects = document["repositories"]
    assert labs["deploy_key"] is None
    assert projects["deploy_key"]["new"] is True
    public = projects["deploy_key"]["public"]
    assert public.startswith("ssh-ed25519 AAAA")
    assert "Settings, Deploy keys" in projects["deploy_key"]["paste_at"]
    assert document["data"] == [{"name": "r.csv", "in_homes": "~/data/r.csv", "path": "/srv/class/data/r.csv"}]
    material.need(courses.load(project, "phys"), "phys", Secrets(project, "phys"), "phys.sls:1")

    shown = coursehub("material", "phys")
    assert labs["link"] in shown.out
    assert public in shown.out
    assert "PRIVATE" not in shown.out + shown.err
    assert "PRIVATE" not in project.secrets_file("phys").read_text()
    assert json.loads(coursehub("material", "phys", "--json").out)["repositories"][1]["deploy_key"] == {
        **projects["deploy_key"], "new": False,
    }  # fmt: skip


def test_the_public_half_is_that_of_the_secret(coursehub: Any, project: Project, tmp_path: Path) -> None:
    write(project, course_of([PRIVATE]))
    document = json.loads(coursehub("material", "phys", "--json").out)
    key = tmp_path / "key"
    key.touch(0o600)
    key.write_text(Secrets(project, "phys").get("deploy-key-projects"))
    told = subprocess.run(["ssh-keygen", "-y", "-f", str(key)], capture_output=True, text=True, check=True).stdout
    assert document["repositories"][0]["deploy_key"]["public"].startswith(" ".join(told.split()[:2]))


def test_a_new_deploy_key_is_one_command(coursehub: Any, project: Project) -> None:
    write(project, course_of([PUBLIC, PRIVATE]))
    before = json.loads(coursehub("material", "phys", "--json").out)["repositories"][1]["deploy_key"]["public"]
    rotated = coursehub("secrets", "rotate", "phys", "deploy-key-projects")
    assert rotated.code == 0, rotated.err
    after = json.loads(coursehub("material", "phys", "--json").out)["repositories"][1]["deploy_key"]
    assert after["public"] != before
    assert after["public"] in rotated.out
    assert "Paste it at github.com" in rotated.out
    for name in ("deploy-key-labs", "deploy-key-other"):
        ended = coursehub("secrets", "rotate", "phys", name)
        assert ended.code == 2
        assert f"phys has no deploy key {name}; there are: deploy-key-projects" in ended.line


@pytest.mark.parametrize("passphrase", [None, "hunter2"])
def test_secret_that_is_no_key_is_reported(
    coursehub: Any, project: Project, tmp_path: Path, passphrase: str | None
) -> None:
    write(project, course_of([PRIVATE]))
    coursehub("material", "phys")
    value = "hunter2"
    if passphrase:
        argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", str(tmp_path / "key")]
        subprocess.run(argv, check=True)
        value = (tmp_path / "key").read_text()
    secrets = Secrets(project, "phys")
    secrets.set("deploy-key-projects", value)
    ended = coursehub("material", "phys")
    assert ended.code == 2
    assert "deploy-key-projects is no private SSH key without a passphrase" in ended.line
    assert "hunter2" not in ended.err
    course = courses.load(project, "phys")
    with pytest.raises(CoursehubError, match="is no private SSH key without a passphrase; make a new") as refused:
        material.need(course, "phys", secrets, "phys.sls:1")
    assert refused.value.exit_code == 2
    # CI may not be able to decrypt.
    material.need(course, "phys", secrets, "phys.sls:1", by_name=True)


def test_two_who_ask_at_once_get_one_key(coursehub: Any, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    write(project, course_of([PRIVATE]))
    true = material_verb.claim

    @contextlib.contextmanager
    def claim_after_another(*given: Any) -> Iterator[None]:
        monkeypatch.setattr(material_verb, "claim", true)
        others.append(json.loads(coursehub("material", "phys", "--json").out))
        with true(*given):
            yield

    others: list[Any] = []
    monkeypatch.setattr(material_verb, "claim", claim_after_another)
    (mine,) = material_verb.show(project, "phys", print)["repositories"]
    (theirs,) = others[0]["repositories"]
    assert mine["deploy_key"] == {**theirs["deploy_key"], "new": False}
    assert theirs["deploy_key"]["new"]


def test_a_course_without_material_says_how(coursehub: Any, project: Project) -> None:
    write(project, course_of([]))
    assert "docs/course-file.md#material" in coursehub("material", "phys").out
    assert not project.secrets.exists()
