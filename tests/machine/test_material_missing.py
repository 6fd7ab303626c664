"""A repository that asks for a password: told at ``apply`` and ``check``, and to the student who clicks its link.

Beside it a folder of this computer, as for a trial: it arrives although the other one fails.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from tests.support.authority import Authority
from tests.support.browser import browser, shoot, sign_in, until, wait
from tests.support.hub import Hub
from tests.support.pulled import click
from tests.support.serving import served

pytestmark = [pytest.mark.machine, pytest.mark.timeout(600)]

STUDENT, PORT, HELP = "fhaddad", 9447, "professor@coursehub.test"


class _WantsPassword(BaseHTTPRequestHandler):
    """A git host that shows nothing without a password."""

    def do_GET(self) -> None:
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="private"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@dataclass(frozen=True)
class Private:
    """The course with these repositories: where its file names the private one, both links, the error of ``apply``."""

    at: str
    link: str
    folder_link: str
    refused: str


def folder(path: Path) -> Path:
    """A git repository with one commit."""
    path.mkdir()
    (path / "lab2.py").write_text("print(2)\n")
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.edu", "-C", str(path)]
    for words in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "x"]):
        subprocess.run([*git, *words], check=True)
    return path


@pytest.fixture(scope="module")
def private(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Private]:
    directory = tmp_path_factory.mktemp("private")
    project, authority, trial = hub.sandbox.project, Authority(directory), folder(directory / "week 2")
    course, site = project.course_file(hub.course), project.root / "pillar" / "site.sls"
    before = {path: path.read_text(encoding="utf-8") for path in (course, site)}
    with hub.elsewhere("private") as (name, address):
        server = ThreadingHTTPServer((address, PORT), _WantsPassword)
        server.socket = authority.server_context(name).wrap_socket(server.socket, server_side=True)
        try:
            line = f"      - {{name: week1, url: 'https://{name}:{PORT}/week1.git'}}\n"
            both = f"{line}      - {{name: week2, url: '{trial}'}}\n"
            text = before[course].replace("  material:\n", f"  material:\n    repositories:\n{both}", 1)
            course.write_text(text, encoding="utf-8")
            pillar = {"base": {"extra_ca": {"test-private": authority.bundle.read_text(encoding="ascii")}}}
            site.write_text(f"{before[site]}\n{yaml.safe_dump(pillar)}", encoding="utf-8")
            with served(server):
                refused = hub.sandbox.json("apply", hub.course, exit_code=1)["error"]
                private, shared = (one["link"] for one in hub.sandbox.json("material", hub.course)["repositories"])
                number = text[: text.index(line)].count("\n") + 1
                yield Private(f"{project.shown(course)}:{number}", private, shared, refused)
        finally:
            for path, kept in before.items():
                path.write_text(kept, encoding="utf-8")
            assert hub.sandbox.json("apply", hub.course)["courses"][hub.course]["failed"] == 0


def test_apply_names_the_line_and_what_to_do(private: Private) -> None:
    assert private.at in private.refused
    assert "week1.git is no repository that this server may read" in private.refused


@pytest.mark.usefixtures("private")
def test_check_says_the_same(hub: Hub) -> None:
    looked = {one["name"]: one for one in hub.sandbox.json("check", hub.course, exit_code=1)["checks"]}
    assert not looked["material"]["ok"]
    assert "week1.git is no repository that this server may read" in looked["material"]["detail"]
    assert [name for name, one in looked.items() if not one["ok"]] == ["material"]


def test_student_reads_that_the_teacher_was_told(hub: Hub, private: Private, tmp_path: Path) -> None:
    """On the course's own page, which names whom to ask."""
    with browser(hub, tmp_path, "not-there-yet") as driver:
        sign_in(driver, hub, STUDENT, private.link)
        why = wait(driver, "#why", 120)
        until(driver, lambda _: why.text, "no reason on the page")
        shoot(driver, "not-there-yet")
        assert why.text == "week1 is not there yet. Your teacher was told; try again later."
        shown = driver.find_element("id", "failed").text
        assert f"For help: {HELP}" in shown
        assert "link author" not in driver.page_source
        assert driver.find_element("link text", "Go to your files").is_displayed()
    with hub.sandbox.client(hub.document, STUDENT) as student:
        student.stop_server()


def test_folder_of_this_computer_arrives(hub: Hub, private: Private) -> None:
    with hub.sandbox.client(hub.document, STUDENT) as student:
        student.start_server()
        path = private.folder_link.removeprefix(hub.document["url"].rstrip("/"))
        assert click(student.get, path).headers["Location"] == f"/user/{STUDENT}/lab/tree/week2"
        assert student.api("GET", "/api/contents/week2/lab2.py").json()["content"] == "print(2)\n"
        student.stop_server()
    hub.run(f"rm -rf /home/{STUDENT}/week2")
