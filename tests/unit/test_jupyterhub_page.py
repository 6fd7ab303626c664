"""The text of the hub's pages, rendered by the JupyterHub of the hub's lock from its own templates and ours."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.hub_config import FILES
from tests.support.hub_config import render as render_config
from tests.support.root import eventually

pytestmark = pytest.mark.unit

# A process that renders as JupyterHub does (jupyterhub/app.py, init_tornado_settings), once for each input line.
SERVER = """
import asyncio, json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from class_inside.page import page_from
from jinja2 import ChoiceLoader, Environment, FileSystemLoader, PrefixLoader
from jupyterhub._data import DATA_FILES_PATH
own = str(Path(DATA_FILES_PATH) / "templates")
loader = ChoiceLoader([PrefixLoader({"templates": FileSystemLoader([own])}, "/"), FileSystemLoader([sys.argv[2], own])])
environment = Environment(loader=loader, autoescape=True, enable_async=True)
page = page_from(sys.argv[3])
class Authenticator:
    request_otp = False
for line in sys.stdin:
    namespace = dict(static_url=lambda path, **_: "/hub/static/" + path, base_url="/hub/", user=None, xsrf="x",
        login_url="/hub/login", authenticator_login_url="/hub/login", authenticator=Authenticator(), parsed_scopes={})
    namespace["page"] = page(None)
    if line.strip() == "without":
        del namespace["page"]
        line = "login.html"
    html = asyncio.run(environment.get_template(line.strip()).render_async(**namespace))
    print(json.dumps(html), flush=True)
"""


class Seen(HTMLParser):
    """The text and attributes of each element with an id, and the page's title."""

    def __init__(self) -> None:
        super().__init__()
        self.text: dict[str, str] = {}
        self.attributes: dict[str, dict[str, str | None]] = {}
        self.links: list[str | None] = []
        self.scripts: list[str | None] = []
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "a":
            self.links.append(found.get("href"))
        if tag == "script":
            self.scripts.append(found.get("src"))
        name = found.get("id") or ("title" if tag == "title" else "")
        if name:
            self.attributes[name] = found
            self.text[name] = ""
        if tag == "br" and self._open:
            self.text[self._open[-1]] += "\n"
        if name and tag in ("div", "p", "h1", "title"):
            self._open.append(name)

    def handle_endtag(self, tag: str) -> None:
        if tag in ("div", "p", "h1", "title") and self._open:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        if self._open:
            self.text[self._open[-1]] += data


@pytest.fixture(scope="module")
def rendered(hub_python: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Renders a template with a file's values, in one process: a changed file must not need a restart."""
    file = tmp_path_factory.mktemp("page") / "page.json"
    argv = [hub_python, "-c", SERVER, str(FILES), str(FILES / "templates"), str(file)]
    process = subprocess.Popen(
        argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert process.stdin and process.stdout

    def render(words: Any, template: str = "login.html") -> Seen:
        assert process.stdin and process.stdout
        if words is None:
            file.unlink(missing_ok=True)
        else:
            file.write_text(words if isinstance(words, str) else json.dumps(words), encoding="utf-8")
        process.stdin.write(f"{template}\n")
        process.stdin.flush()
        seen = Seen()
        seen.feed(json.loads(process.stdout.readline()))
        return seen

    yield render
    process.stdin.close()
    process.wait(timeout=10)


Render = Callable[..., Seen]
WORDS = {"title": "ENGR 114: Größen & <b>", "message": "Lab 3\nis due", "help": "help@example.edu", "logo": "/x/a.png"}


def squeezed(text: str) -> str:
    return "\n".join(" ".join(line.split()) for line in text.strip().splitlines())


def test_the_sign_in_page_says_it_all(rendered: Render) -> None:
    seen = rendered(WORDS)
    assert seen.text["title"] == WORDS["title"]
    assert seen.text["course-title"] == WORDS["title"]
    assert squeezed(seen.text["course-message"]) == "Lab 3\nis due"
    assert seen.attributes["course-logo"]["src"] == "/x/a.png"
    assert "help@example.edu" in seen.text["course-help"]
    assert "mailto:help@example.edu" in seen.links
    assert "username_input" in seen.attributes and "password_input" in seen.attributes


def test_a_change_shows_at_the_next_request(rendered: Render) -> None:
    assert "due" in rendered(WORDS).text["course-message"]
    assert squeezed(rendered({**WORDS, "message": "No lab today"}).text["course-message"]) == "No lab today"
    assert "course-message" not in rendered({**WORDS, "message": None}).text


def test_other_pages_have_message_and_help_too(rendered: Render) -> None:
    seen = rendered(WORDS, "page.html")
    assert {"course-message", "course-help"} <= set(seen.text)
    assert "course-title" not in seen.text


@pytest.mark.parametrize("words", [None, "", "{", "[]", "{}", '{"title": 5}', "\x00"])
def test_a_broken_file_costs_the_words_and_not_the_page(rendered: Render, words: Any) -> None:
    seen = rendered(words)
    assert "username_input" in seen.attributes
    assert "course-message" not in seen.text


def test_a_page_without_our_variable_is_still_a_page(rendered: Render) -> None:
    assert "username_input" in rendered({}, "without").attributes


def test_words_are_words(rendered: Render) -> None:
    plain = len(rendered({}).scripts)
    evil = "<script src=//evil></script>{{ 7 * 7 }}\"'><img src=x onerror=y>"
    seen = rendered(dict.fromkeys(("title", "message", "help", "logo"), evil))
    assert len(seen.scripts) == plain
    assert seen.text["course-title"] == evil
    assert squeezed(seen.text["course-message"]) == evil


@pytest.mark.parametrize(
    ("text", "link"),
    [
        ("help@example.edu", "mailto:help@example.edu"),
        ("https://example.edu/help?a=b", "https://example.edu/help?a=b"),
        ("Room 12, Mondays", ""),
        ("http://example.edu", ""),
        ("javascript:alert(1)@x", ""),
        ('https://example.edu/" onclick="x', ""),
        ("a@b?subject=x", ""),
    ],
)
def test_what_becomes_a_link(text: str, link: str) -> None:
    spec = importlib.util.spec_from_file_location("page", FILES / "class_inside/page.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.link_of(text) == link


# The rendered configuration without what needs a machine: its proxy routes nothing, and it has no services.
ALONE = """
from jupyterhub.proxy import Proxy
class NoProxy(Proxy):
    should_start = False
    async def add_route(self, routespec, target, data): pass
    async def delete_route(self, routespec): pass
    async def get_all_routes(self): return {}
    async def check_routes(self, *_, **__): pass
    async def add_all_users(self, *_): pass
c.JupyterHub.proxy_class = NoProxy
c.JupyterHub.services = []
c.JupyterHub.load_roles = []
c.JupyterHub.db_url = "sqlite://"
c.JupyterHub.hub_connect_url = c.JupyterHub.hub_bind_url = "http://127.0.0.1:%d"
"""


def free_ports(count: int) -> list[int]:
    """Different ports: all are held until each is known."""
    with contextlib.ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


@pytest.fixture(scope="module")
def hub(hub_python: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A running JupyterHub with our configuration; its address, and the file that its pages read."""
    home = tmp_path_factory.mktemp("page-hub")
    (port,) = free_ports(1)
    path = render_config(home, state=str(home))
    (home / "templates").symlink_to(FILES / "templates")
    words = home / "page.json"
    path.write_text(path.read_text().replace("/etc/jupyterhub/page.json", str(words)) + ALONE % port)
    words.write_text(json.dumps(WORDS))
    (home / "identities.json").write_text("{}")
    with (home / "log").open("w") as log:
        process = subprocess.Popen(
            [hub_python, "-m", "jupyterhub", "--config", str(path)],
            cwd=home,
            stdout=log,
            stderr=log,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "JUPYTERHUB_CRYPT_KEY": ""},
        )
        try:

            def healthy() -> bool:
                assert process.poll() is None, (home / "log").read_text()[-3000:]
                with contextlib.suppress(requests.RequestException):
                    return requests.get(f"http://127.0.0.1:{port}/hub/health", timeout=5).ok
                return False

            eventually(healthy, 120)
            yield f"http://127.0.0.1:{port}/hub", words
        finally:
            process.terminate()
            process.wait(timeout=60)


def test_a_running_hub_says_new_words_without_a_restart(hub: tuple[str, Path]) -> None:
    base, words = hub
    for message in ("No lab today", "Lab 3 is due"):
        words.write_text(json.dumps({**WORDS, "message": message}))
        seen = Seen()
        seen.feed(requests.get(f"{base}/login", timeout=10).content.decode())
        assert squeezed(seen.text["course-message"]) == message
        assert seen.text["course-title"] == WORDS["title"]
        assert "mailto:help@example.edu" in seen.links
        assert "username_input" in seen.attributes
    # The help address is also on the page for a wrong address.
    assert "help@example.edu" in requests.get(f"{base}/nowhere", timeout=10).text
