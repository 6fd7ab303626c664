"""The decisions of the hub's protection for browsers; tests/attacks/test_browser_*.py test it on a hub."""

from __future__ import annotations

import base64
import hashlib
import subprocess
from pathlib import Path
from typing import Any

import jinja2
import pytest

from tests.support.hub_config import FILES
from tests.support.walls import ANSWERED, REFUSED, cookies, leading, metadata, passes, policy

pytestmark = pytest.mark.unit
SECRET = "0123456789abcdef" * 4


@pytest.mark.parametrize("who", ANSWERED)
def test_a_request_is_answered(who: str) -> None:
    assert metadata.refusal(ANSWERED[who]) == ""


@pytest.mark.parametrize("who", REFUSED)
def test_a_request_is_refused(who: str) -> None:
    assert metadata.refusal(REFUSED[who])


@pytest.fixture
def made(tmp_path: Path) -> Any:
    secret = tmp_path / "owner-pass.secret"
    secret.write_text(f'default "{SECRET}";\n')
    return passes.Passes(str(secret))


def test_a_pass_is_what_nginx_computes(made: Any) -> None:
    """``secure_link_md5 "$pass_ends $raw_owner $owner_secret"``, base64url without padding."""
    ends, proof = made.make("ada", 1000).split(".")
    assert int(ends) == 1000 + passes.VALID
    digest = hashlib.md5(f"{ends} ada {SECRET}".encode(), usedforsecurity=False).digest()
    assert proof == base64.urlsafe_b64encode(digest).decode().rstrip("=")


def test_a_pass_fits_its_person_and_time(made: Any) -> None:
    value = made.make("ada", 1000)
    assert made.fits(value, "ada", 1001)
    assert not made.fits(value, "bob", 1001)
    assert not made.fits(value, "ada", 1001 + passes.VALID)
    ends, proof = value.split(".")
    for forged in (f"{int(ends) + 1}.{proof}", f"{ends}.{'A' * 22}", f"{ends}", "", f"{ends}.{proof}x", "-1.x"):
        assert not made.fits(forged, "ada", 1001), forged


def test_no_pass_is_made_without_a_secret(tmp_path: Path) -> None:
    """A pass without a secret would be the same for everybody."""
    for name, content in (("missing", None), ("empty", ""), ("short", 'default "00";\n')):
        path = tmp_path / name
        if content is not None:
            path.write_text(content)
        with pytest.raises((OSError, ValueError)):
            passes.Passes(str(path)).make("ada", 1000)


@pytest.mark.parametrize(
    ("address", "owner"),
    [
        ("/user/ada/lab/tree/x?reset", "ada"),
        ("/user/ada", "ada"),
        ("/user/ada?x=/user/bob/", "ada"),
        ("/user/a%64a/lab", ""),
        ("/user/ada%2f..%2fbob/", ""),
        ("//evil.example/user/ada/", ""),
        ("/hub/home", ""),
        ("https://evil.example/user/ada/", ""),
    ],
)
def test_an_address_leads_to_the_server_it_names(address: str, owner: str) -> None:
    assert passes.owner_of(address, "/") == owner


def test_valid_cookie_counts_whatever_is_beside_it() -> None:
    """Python keeps the last of several cookies with one name, which may be a script's."""
    good, best = {"ada's", "bob's"}.__contains__, {"ada's"}.__contains__
    for header in ("hub=ada's; hub=rubbish", "hub=rubbish; hub=ada's", "x=1; hub=bob's; hub=ada's; hub"):
        assert cookies.sound(header, "hub", good, best) == "ada's", header
    assert cookies.sound("hub=rubbish; hub=bob's", "hub", good, best) == "bob's"
    assert cookies.sound("hub=rubbish; hubs=ada's", "hub", good, best) is None
    assert cookies.sound("", "hub", good, best) is None


def test_only_a_templates_own_scripts_have_the_nonce() -> None:
    environment = jinja2.Environment(autoescape=True, extensions=[policy.Nonces])
    source = '<script src="x"></script>{{ word }}{{ html | safe }}<style>a{}</style><p style="display: none;"></p>'
    html = environment.from_string(source).render(
        csp_nonce="N", word="<script>evil()</script>", html="<script>evil()</script>"
    )
    assert html.startswith('<script nonce="N" src="x"></script>')
    assert html.count("nonce=") == 2 and '<style nonce="N">' in html
    assert html.endswith("<p data-starts-hidden></p>")


def test_no_page_runs_what_it_does_not_name() -> None:
    page = dict(part.split(" ", 1) for part in policy.page_policy("N").split("; "))
    assert page["default-src"] == "'none'" and page["frame-ancestors"] == "'none'" and page["base-uri"] == "'none'"
    assert page["script-src"] == "'nonce-N' 'strict-dynamic'"
    assert "unsafe" not in policy.page_policy("N")
    assert "'unsafe-inline'" in policy.page_policy("N", any_style=True).split("style-src")[1].split(";")[0]
    assert policy.page_policy("N", forms_to=("https://*.x.edu",)).count("form-action 'self' https://*.x.edu") == 1


ANSWER_AT_ONCE = """
import asyncio, socket, sys, tempfile
sys.path.insert(0, sys.argv[1])
from class_inside.closing import let_the_proxy_close
from tornado.http1connection import HTTP1Connection
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets, bind_unix_socket
from tornado.web import Application, RequestHandler
class At(RequestHandler):
    def post(self):
        self.finish("done")
let_the_proxy_close(HTTP1Connection)
async def main():
    server = HTTPServer(Application([("/", At)]))
    path = tempfile.mkdtemp() + "/x"
    (tcp,) = bind_sockets(0, "127.0.0.1", socket.AF_INET)
    server.add_sockets([tcp, bind_unix_socket(path)])
    for family, address in ((socket.AF_UNIX, path), (socket.AF_INET, tcp.getsockname())):
        line = socket.socket(family)
        line.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(line, address)
        head = [b"POST / HTTP/1.1", b"Host: x", b"Connection: close", b"Content-Length: 3", b"", b"x=y"]
        await loop.sock_sendall(line, b"\\r\\n".join(head))
        got = await loop.sock_recv(line, 65536)
        assert got.endswith(b"done"), got
        try:
            rest = await asyncio.wait_for(loop.sock_recv(line, 1), 0.3)
            print("closed" if rest == b"" else rest)
        except TimeoutError:
            print("open")
asyncio.run(main())
"""


def test_the_proxy_closes_what_it_asked_by_a_socket(hub_python: str) -> None:
    """Otherwise node's last, empty write fails and the browser gets 503; at a TCP port the answering side may close."""
    done = subprocess.run([hub_python, "-c", ANSWER_AT_ONCE, str(FILES)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["open", "closed"]


OTHERS = [
    "/user/mallory/lab",
    "/user/mallory",
    "/hub/user/mallory/x?next=/user/ada/",
    "/hub/spawn/mallory",
    "/hub/spawn-pending/mallory?next=x",
    "/user/ada/../mallory/",
    "/user/ada/%2e%2e/mallory/",
    "/user%2fmallory/x",
    "/user%252fmallory/x",
    "/%75ser/mallory/",
    "/user/ada%2f..%2f..%2fuser/mallory",
    "/hub//user/mallory/",
    "/hub/./user/mallory/",
    "/user/mallory%00/",
    "/user\\mallory/",
    "/user/%5cmallory",
    "/user/Ada/lab",
    "/user/%25252525ada/",
]
OWN_PLACES = [
    "/",
    "/hub/home",
    "/hub/admin",
    "/user/ada",
    "/user/ada/lab/tree/100%25 done.ipynb?reset",
    "/user/ada/lab/tree/Übung 1.ipynb",
    "https://ada.hub.example.edu/user/ada/",
    "/hub/user-redirect/git-pull?repo=https%3A%2F%2Fgit.example%2Fx&urlpath=lab%2Ftree%2Fuser%2Fmallory",
    "/hub/spawn",
    "/hub/spawn/ada?next=/user/ada/lab",
    "/services/students-work/of/mallory/user/mallory/",
    "/hub/api/oauth2/authorize?client_id=jupyterhub-user-mallory&redirect_uri=%2Fuser%2Fmallory%2Foauth_callback",
]


@pytest.mark.parametrize("address", OTHERS)
def test_an_address_leads_to_somebody_elses_server(address: str) -> None:
    for base_url in ("/", "/engr114/"):
        assert leading.leads_to_others(base_url.rstrip("/") + address, base_url, "ada"), base_url


@pytest.mark.parametrize("address", OWN_PLACES)
def test_an_address_leads_to_nobody_elses_server(address: str) -> None:
    assert not leading.leads_to_others(address, "/", "ada")
