"""The pages of a pull, with the Jupyter Server of the course's lock."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urljoin, urlsplit

import pytest
import requests

from tests.support.lesson import FILES, Class
from tests.support.pulled import click, pull

pytestmark = pytest.mark.unit
TODAY = time.strftime("%Y-%m-%d")
HELP = "Frau Müller <help@x.edu>"

# Holds one pull in its middle and tries a second one into the same directory by another path.
TWICE = """
import logging, sys, threading, time
sys.path.insert(0, sys.argv[1])
from class_pull import puller
logging.disable()
def pull(home, **options):
    return puller.ClassPuller(sys.argv[2], home, branch="main", **options).pull()
first = pull(sys.argv[3])
next(first)
puller.PATIENCE = 0
try:
    next(pull(sys.argv[3]))
except puller.PullFailed as problem:
    print(problem)
puller.PATIENCE = 60
said = []
second = threading.Thread(target=lambda: said.extend(pull(sys.argv[4], backup=True)))
second.start()
deadline = time.monotonic() + 30
while not said and time.monotonic() < deadline:
    time.sleep(0.1)
print(len(said) > 0, second.is_alive())
list(first)
second.join()
print("".join(said))
"""


@dataclass
class Server:
    """A student's Jupyter server with the formula's configuration."""

    base: str
    home: Path
    given: Path

    def gives(self, name: str, lesson: Class, *also: str) -> str:
        """A course with one repository; its link."""
        given = {"repositories": {name: {"url": lesson.origin.as_uri(), "branch": "main", "also": also}}, "help": HELP}
        self.given.write_text(json.dumps(given))
        return self.link(lesson.origin.as_uri())

    def link(self, repo: str, **more: str) -> str:
        return f"/user/s/git-pull?{urlencode({'repo': repo, 'branch': 'main', **more}, quote_via=quote)}"

    def get(self, path: str, **options: Any) -> requests.Response:
        """A request from the student's signed-in browser."""
        headers = {"Authorization": "token t", **options.pop("headers", {})}
        return requests.get(urljoin(self.base, path), headers=headers, **{"timeout": 20, **options})


@pytest.fixture(scope="module")
def server(course_python: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("server")
    config, home, given = root / "jupyter", root / "home", root / "course.json"
    (config / "jupyter_server_config.d").mkdir(parents=True)
    home.mkdir()
    extension = {"ServerApp": {"jpserver_extensions": {"class_pull": True}}}
    (config / "jupyter_server_config.d" / "class_pull.json").write_text(json.dumps(extension))
    (config / "jupyter_server_config.json").write_text(json.dumps({"ClassPull": {"course": str(given)}}))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    argv = [
        course_python, "-m", "jupyter_server", "--no-browser", f"--port={port}", "--ServerApp.port_retries=0",
        "--allow-root", f"--ServerApp.root_dir={home}", "--IdentityProvider.token=t", "--ServerApp.base_url=/user/s/",
    ]  # fmt: skip
    env = {
        **os.environ, "PYTHONPATH": str(FILES), "JUPYTER_CONFIG_PATH": str(config), "HOME": str(home),
        "PYTHONDONTWRITEBYTECODE": "1",
    }  # fmt: skip
    log = (root / "log").open("w")
    with subprocess.Popen(argv, env=env, stdout=log, stderr=log, stdin=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and process.poll() is None:
            try:
                requests.get(f"http://127.0.0.1:{port}/user/s/api", timeout=5)
                break
            except requests.ConnectionError:
                time.sleep(0.1)
        try:
            assert process.poll() is None, (root / "log").read_text()
            yield Server(f"http://127.0.0.1:{port}/user/s/", home, given)
        finally:
            process.terminate()
            process.wait(20)
    # This is how nbgitpuller logs a failed pull. Counted, because other lines may come between those of one traceback.
    said = (root / "log").read_text()
    failed_pulls = len(re.findall(r"(PullFailed|GitFailed): ", said))
    assert said.count("Traceback (most recent call last)") <= failed_pulls, said


def test_the_page_tells_and_then_goes_on(server: Server, lesson: Class) -> None:
    server.gives("origin", lesson)
    path = "lab/tree/origin/week%201/lab%23%25.py?x=1"
    link = server.link(lesson.origin.as_uri(), urlpath=path)
    arrived = click(server.get, link)
    assert (arrived.status_code, arrived.headers["Location"]) == (302, f"/user/s/{path}")

    (server.home / "origin" / "lab1.py").write_text("mine\n")
    (server.home / "origin" / "<b>.py").write_text("mine\n")
    lesson.publish({"lab1.py": "course\n", "<b>.py": "course\n"})
    told = click(server.get, link)
    assert told.status_code == 200
    assert told.headers["Content-Type"].startswith("text/html")
    assert f"lab1_teacher-{TODAY}.py" in told.text
    assert f'href="/user/s/lab/tree/origin/lab1_teacher-{TODAY}.py"' in told.text
    assert "<code>&lt;b&gt;.py</code>" in told.text
    assert "<b>" not in told.text
    assert f'href="/user/s/{path.replace("&", "&amp;")}"' in told.text
    # A second look shows the same; after the next pull it is empty.
    assert server.get("/user/s/git-pull/then/origin/lab").text.count("<li") == 2
    assert click(server.get, link).status_code == 302


def test_pull_without_a_page_is_reported_at_the_next(server: Server, lesson: Class) -> None:
    link = server.gives("unseen", lesson)
    pull(server.get, link)
    (server.home / "unseen" / "lab1.py").write_text("mine\n")
    lesson.publish({"lab1.py": "course\n"})
    pull(server.get, link)
    assert click(server.get, link).text.count('<li class="kept"') == 1
    assert click(server.get, link).status_code == 302


def test_a_second_pull_waits_for_one_that_runs(course_python: str, lesson: Class) -> None:
    """Even one that puts the directory aside, as nbgitpuller's error page offers."""
    link = lesson.root / "link"
    link.symlink_to(lesson.root / "home")
    argv = [course_python, "-c", TWICE, str(FILES), lesson.origin.as_uri(), str(lesson.student), str(link / "labs")]
    env = {**os.environ, "HOME": str(lesson.root / "home")}
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120, env=env)
    assert (done.returncode, done.stderr) == (0, "")
    refused, waited, said = done.stdout.split("\n", 2)
    assert refused == "Another pull into labs is still running; restart your server if it hangs."
    assert waited == "True True", "the second says that it waits, and does"
    assert said.startswith("Another pull into labs is still running\n")
    assert len([path for path in lesson.student.parent.iterdir() if (path / "lab1.py").exists()]) == 2


def test_name_that_is_not_text_is_reported_too(server: Server, lesson: Class) -> None:
    link = server.gives("odd", lesson)
    gone = os.fsdecode(b"g\xe9.py")
    lesson.publish({gone: "course\n"})
    pull(server.get, link)
    names = [os.fsdecode(b"caf\xe9.py"), "数" * 80 + ".py"]
    for name in [gone, *names]:
        (server.home / "odd" / name).write_text("mine\n")
    lesson.publish({gone: None, **dict.fromkeys(names, "course\n")})
    told = click(server.get, link)
    assert told.status_code == 200, told.text
    assert told.text.count("<li class=") == 3
    assert "caf\N{REPLACEMENT CHARACTER}.py" in told.text


def test_a_link_without_a_path_leads_into_lab(server: Server, lesson: Class) -> None:
    server.gives("labs.2026", lesson)
    arrived = click(server.get, server.link(lesson.origin.as_uri(), subPath="data"))
    assert arrived.headers["Location"] == "/user/s/lab/tree/labs.2026/data"


def test_a_link_to_the_git_host_pulls_from_the_courses_copy(server: Server, lesson: Class) -> None:
    """Teachers paste links from nbgitpuller's own link generator."""
    server.gives("fromhost", lesson, "https://git.example.edu/physics/labs.git")
    click(server.get, server.link("https://git.example.edu/physics/labs"))
    assert (server.home / "fromhost" / "lab1.py").exists()


@pytest.mark.parametrize(
    ("repo", "more"),
    [
        ("https://evil.example/labs", {}),
        ("file:///home/neighbour/labs", {}),
        ("ext::sh -c id", {}),
        ("", {}),
        (None, {"branch": "solutions"}),
    ],
)
def test_what_the_course_does_not_give_is_refused(
    server: Server, lesson: Class, repo: str | None, more: dict[str, str]
) -> None:
    server.gives("refused", lesson)
    address = lesson.origin.as_uri() if repo is None else repo
    page = server.get(server.link(address, **more))
    assert page.status_code == 404
    assert "Frau Müller &lt;help@x.edu&gt;" in page.text
    asked = server.link(address, **more).replace("/git-pull?", "/git-pull/api?")
    assert server.get(asked).status_code == 404
    assert not (server.home / "refused").exists()


@pytest.mark.parametrize("parameter", ["targetpath", "targetPath"])
@pytest.mark.parametrize("target", [".config/git", "/tmp/elsewhere", "../elsewhere", ".", "a/b", ".ssh"])
def test_the_folder_is_the_courses_whatever_a_link_says(
    server: Server, lesson: Class, parameter: str, target: str
) -> None:
    link = server.gives("named", lesson) + f"&{parameter}={quote(target, safe='')}&depth=0"
    before = {path.name for path in server.home.iterdir()}
    pull(server.get, link)
    assert {path.name for path in server.home.iterdir()} - before <= {"named", ".local"}
    events = server.get(link.replace("/git-pull?", "/git-pull/api?"), timeout=60)
    assert '"finished"' in events.text
    assert {path.name for path in server.home.iterdir()} - before <= {"named", ".local"}
    assert not Path("/tmp/elsewhere").exists()


@pytest.mark.parametrize(
    "path",
    [
        "../../hub/token", "lab/../../../services/students-work/", "lab/tree/%2e%2e/%2E./%2e%2e/hub/logout",
        "lab/%252e%252e/x", "//evil.example/", "lab\\..\\..", "files/evil.html", "https://evil.example", "api/shutdown",
    ],
)  # fmt: skip
def test_a_link_leads_to_a_page_of_jupyter_alone(server: Server, lesson: Class, path: str) -> None:
    """The browser goes there from one of our pages, which the hub treats like the student's own click."""
    server.gives("leads", lesson)
    arrived = click(server.get, server.link(lesson.origin.as_uri(), urlpath=path))
    assert arrived.headers["Location"] == "/user/s/lab/tree/leads"
    # Sent unchanged: a browser or requests would remove the dots first.
    with contextlib.closing(http.client.HTTPConnection(urlsplit(server.base).netloc, timeout=20)) as line:
        line.request("GET", f"/user/s/git-pull/then/leads/{path}", headers={"Authorization": "token t"})
        assert line.getresponse().headers["Location"] == "/user/s/lab"


def test_another_site_can_neither_pull_nor_put_aside(server: Server, lesson: Class) -> None:
    """A link from the LMS opens the page; only that page can start the pull."""
    link = server.gives("foreign", lesson)
    api = link.replace("/git-pull?", "/git-pull/api?")
    for site in ("cross-site", "same-site"):
        assert server.get(api, headers={"Sec-Fetch-Site": site}).status_code == 403
    assert not (server.home / "foreign").exists()
    page = server.get(link + "&backup=true", headers={"Sec-Fetch-Site": "cross-site"})
    assert 'data-backup=""' in page.text
    assert 'data-backup="true"' in server.get(link + "&backup=true", headers={"Sec-Fetch-Site": "same-origin"}).text
    pull(server.get, link)
    (server.home / "foreign" / "lab1.py").write_text("mine\n")
    server.get(api + "&backup=true", timeout=60)
    assert (server.home / "foreign" / "lab1.py").read_text() == "mine\n", "nothing says that our own page asked"
    server.get(api + "&backup=true", headers={"Sec-Fetch-Site": "same-origin"}, timeout=60)
    assert len(list(server.home.glob("foreign_backup_*"))) == 1


def test_a_failed_pull_says_whom_to_ask(server: Server, lesson: Class) -> None:
    link = server.gives("failing", lesson)
    lesson.origin.rename(lesson.root / "away")
    page = server.get(link)
    assert "link author" not in page.text
    assert "For help: Frau Müller" in page.text
    (news,) = [
        json.loads(line[6:])
        for line in server.get(link.replace("/git-pull?", "/git-pull/api?"), timeout=60).text.splitlines()
        if line.startswith("data: ") and '"phase": "error"' in line
    ][:1]
    assert news["message"].startswith("failing is not there yet. Your teacher was told")
    assert "Traceback" not in news["message"]
    script = server.get("/user/s/git-pull/page/pull.js")
    assert script.status_code == 200
    assert server.get("/user/s/git-pull/page/pages.py").status_code == 404


def test_who_is_not_signed_in_sees_nothing(server: Server) -> None:
    for path in ("git-pull/then/origin/lab", "git-pull?repo=x", "git-pull/api?repo=x"):
        answer = requests.get(server.base + path, allow_redirects=False, timeout=20)
        assert answer.status_code in (302, 403), path
