"""The line of the course file for a failed state: what is wrong, where, and what to do, without advice to wait."""

from __future__ import annotations

import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from runner import course as courses
from runner.project import Project
from runner.saltssh.results import Report, StateResult
from runner.verbs.blame import blame
from runner.verbs.converge import StatesFailed

pytestmark = pytest.mark.unit

COURSE = """\
#!yaml
course:
  title: "P"
  domain: phys.example.edu
  contact: prof@example.edu
  apt:
    - graphviz
    - imagemagik
  material:
    repositories:
      - name: labs
        url: https://githb.com/x/y
    data:
      - {name: rain, source: "https://data.exmple.edu/rain.csv", sha256: "%s"}
  people:
    professors: [{account: curie, name: "Marie Curie"}]
""" % ("0" * 64)


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """No name server is asked; a host that is not in here has no address, or the lookup fails with this error."""
    answers: dict[str, int] = {}

    def getaddrinfo(host: str, _port: int) -> list[object]:
        if error := answers.get(host, socket.EAI_NONAME):
            raise socket.gaierror(error, "as the system says it")
        return []

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return answers


@pytest.fixture
def session(tmp_path: Path) -> Any:
    project = Project(tmp_path)
    project.courses.mkdir(parents=True)
    project.course_file("phys").write_text(COURSE)
    read = courses.source(project, "phys")
    return SimpleNamespace(course=courses.load(project, "phys"), at=lambda *keys: read.at("course", *keys))


def report(said: str) -> Report:
    return Report("phys", (StateResult("pkg.installed", "x", "course_env", said, False, {}, (), 0.0, 1),))


@pytest.mark.parametrize(
    ("said", "line", "says"),
    [
        ("E: Unable to locate package imagemagik\n", 8, "apt: debian-13 has no package imagemagik; correct the name"),
        ("E: Package 'imagemagik' has no installation candidate", 8, "apt: debian-13 has no package imagemagik"),
        (
            "labs: fatal: unable to access 'https://githb.com/x/y/': Could not resolve host: githb.com",
            12,
            "material.repositories.1.url: there is no host githb.com; correct it; what already works",
        ),
        (
            "rain: https://data.exmple.edu/rain.csv cannot be had ([Errno -2] Name or service not known)",
            14,
            "material.data.1.source: there is no host data.exmple.edu; correct it",
        ),
    ],
)
def test_misspelled_name_is_reported_with_its_line(session: Any, said: str, line: int, says: str) -> None:
    failed = report(said)
    message = str(StatesFailed("phys", failed, blame(session, failed)))
    assert message.startswith(f"pillar/courses/phys.sls:{line}: {says}")
    assert message.endswith("then run 'coursehub apply phys'")
    assert "minutes" not in message


def test_repository_that_wants_a_password_is_told(session: Any) -> None:
    said = (
        "labs: https://githb.com/x/y is no repository that this server may read; correct it, or use the git@ one (with"
    )
    failed = report(f"{said} a deploy key); students cannot have it yet")
    message = str(StatesFailed("phys", failed, blame(session, failed)))
    assert message.startswith(f"pillar/courses/phys.sls:12: material.repositories.1: {said.removeprefix('labs: ')} a")


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (0, "finds no address for githb.com, and this computer does: the server's name server (DNS) does not answer"),
        (
            socket.EAI_AGAIN,
            "finds no address for githb.com; correct it if it is mistyped. If it is right, its name server",
        ),
    ],
)
def test_a_host_that_may_be_right_is_no_mistake(session: Any, asked: dict[str, int], error: int, says: str) -> None:
    asked["githb.com"] = error
    told = blame(session, report("fatal: unable to access 'https://githb.com/x/y/': Could not resolve host: githb.com"))
    assert says in str(told)


@pytest.mark.parametrize(
    "said",
    [
        "E: Unable to locate package nginx\nE: Unable to locate package graphviz",
        "E: Failed to fetch http://mirror/debian/pool/n/nginx_1_amd64.deb  Temporary failure resolving 'mirror'",
        "No space left on device",
    ],
)
def test_what_is_not_the_files_fault_blames_no_line(session: Any, said: str) -> None:
    assert blame(session, report(said)) is None
