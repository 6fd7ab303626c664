"""Requests that a browser can be made to send in somebody's name, recognised by headers that no script can change."""

from __future__ import annotations

import contextlib
from urllib.parse import urljoin, urlsplit

import pytest
import websocket

from tests.attacks.conftest import Cast
from tests.support.attackers import Person
from tests.support.hub import Hub
from tests.support.tokens import token_with_all_rights
from tests.support.visiting import CLICK

WORK = "/services/students-work/"
#: A script with the hub's own origin, like a student's server on a hub with one domain.
SCRIPT = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}
#: Other requests that such a script can make.
SCRIPTS = {
    "fetch": SCRIPT,
    "fetch without CORS": {**SCRIPT, "Sec-Fetch-Mode": "no-cors"},
    "frame": {**CLICK, "Sec-Fetch-Dest": "iframe"},
    "object": {**CLICK, "Sec-Fetch-Dest": "object"},
    "image": {**SCRIPT, "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
}
PAGES = ["/hub/home", "/hub/admin", "/hub/token", "/hub/spawn", "/hub/logout", WORK]


@pytest.mark.parametrize("how", SCRIPTS)
@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_read_by_a_script(professor: Person, page: str, how: str) -> None:
    """Tries: to read a page of the hub in a professor's name, with a script of the hub's own origin (S4's first step).

    Stopped by: pages answer only a person's own navigation (Fetch Metadata), in class_walls and "Students' work".
    """
    answer = professor.client.get(page, headers=SCRIPTS[how], allow_redirects=False)
    assert answer.status_code == 403
    assert "_xsrf" not in answer.text and professor.account not in answer.text


def test_a_professor_makes_a_token(professor: Person) -> None:
    """Tries: to make an API token with all of a professor's rights, even with the page's own XSRF token (S4's second
    step).

    Stopped by: there is no page for it, and nobody has the scope.
    """
    assert professor.client.get("/hub/token", headers=CLICK).status_code == 404
    professor.client.get("/hub/home", headers=CLICK)
    headers = {**SCRIPT, "X-XSRFToken": professor.client._xsrf("/hub/")}
    made = professor.client._request(
        "POST", f"/hub/api/users/{professor.account}/tokens", json={"note": "mine"}, headers=headers
    )
    assert made.status_code == 403, made.text


def test_a_token_opens_students_work(hub: Hub, professor: Person, alice: Person, mallory: Person) -> None:
    """Tries: to read a student's files with a token that has all of a professor's rights, with a browser's headers.

    Stopped by: "Students' work" accepts only a browser's session, whatever headers a token comes with (S4's last step).
    """
    professor.client.get("/hub/home")
    token = token_with_all_rights(hub, professor.account)
    for path in ("", f"of/{alice.account}/"):
        answer = mallory.with_token("GET", WORK + path, token, headers=CLICK)
        assert answer.status_code == 403, path
        answer = mallory.with_token("GET", f"{WORK}{path}?token={token}", "", headers=CLICK, allow_redirects=False)
        assert answer.status_code == 302 and "/hub/api/oauth2/authorize" in answer.headers["Location"], path


FOREIGN = {
    "a form": ("POST", {**CLICK, "Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}),
    "a neighbouring host's form": ("POST", {**CLICK, "Sec-Fetch-Site": "same-site", "Origin": "https://www.test"}),
    "an old browser's form": ("POST", {"Origin": "https://evil.example"}),
    "a fetch": ("GET", {**SCRIPT, "Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}),
    "a frame": ("GET", {**CLICK, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "iframe"}),
    "a script": ("GET", {**SCRIPT, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}),
}


@pytest.mark.parametrize("how", FOREIGN)
def test_another_site_asks_in_a_persons_name(alice: Person, how: str) -> None:
    """Tries: to let another site's page send a form, read the hub or frame it, with a student's cookies.

    Stopped by: Fetch Metadata and Origin, checked by the hub, and by nginx for servers and services.
    """
    method, headers = FOREIGN[how]
    alice.serve()
    xsrf = alice.client._xsrf("/hub/")
    paths = ["/hub/logout", "/hub/spawn", "/hub/home", f"/hub/api/users/{alice.account}"]
    if "Sec-Fetch-Site" in headers:
        paths += [f"/user/{alice.account}/api/contents", f"/user/{alice.account}/lab", WORK]
    for path in paths:
        answer = alice.client._request(method, path, data={"_xsrf": xsrf}, headers=headers, allow_redirects=False)
        assert answer.status_code == 403, path
    assert alice.client.get("/hub/home", allow_redirects=False).status_code == 200, "she is still signed in"


@pytest.mark.parametrize("address", ["https://evil.example/", "//evil.example/", "/\\evil.example", "/hub/..//evil.x"])
def test_a_link_leads_from_the_hub_to_another_site(alice: Person, address: str) -> None:
    """Tries: to let a link that begins with the hub's own address end at another site, signed in or not.

    Stopped by: JupyterHub's check of "next"; redirects to servers keep only the path.
    """
    own = alice.client.base, alice.client.origin(f"/user/{alice.account}/")
    for path in (f"/hub/login?next={address}", f"/hub/user-redirect/{address}", f"/hub/enter/{address}"):
        answer = alice.client.get(path, headers=CLICK, allow_redirects=False)
        to = answer.headers.get("Location", "/")
        assert not to.startswith(("//", "/\\")), (path, to)
        assert urlsplit(to).netloc in ("", *(urlsplit(place).netloc for place in own)), (path, to)
        assert "evil" not in to.partition("?")[0].removeprefix("/hub/user/").partition("/")[0], (path, to)


#: Where a link through the sign-in page may ask to go, {} is Mallory's account and {host} the hub's name.
ONWARD = [
    "https://{}.{host}/",
    "https://{}.{host}/user/{}/files/evil.html",
    "//{}.{host}/user/{}/lab",
    "///{}.{host}/user/{}/lab",
    "/\\{}.{host}/user/{}/lab",
    "/%5c{}.{host}/",
    "/%2f{}.{host}/user/{}/lab",
    "%2f%2f{}.{host}/user/{}/lab",
    "https:{}.{host}/user/{}/lab",
    "/user/{}/lab",
    "/hub/user/{}/files/evil.html",
    "/hub/spawn/{}",
    "/hub/spawn-pending/{}",
    "/hub/../user/{}/lab",
    "/%75ser/{}/lab",
    "/user%2f{}/lab",
    "/hub/login?next=/user/{}/lab",
    "https://evil.example/",
    "https://{host}@evil.example/",
    "https://{host}.evil.example/",
    "//evil.example/%2e%2e",
    "javascript:alert(1)",
]


@pytest.mark.parametrize("signed_in", [False, True], ids=["signs in", "is signed in"])
def test_a_link_leads_from_sign_in_to_another(professor: Person, mallory: Person, signed_in: bool) -> None:
    """Tries: to have a link to the sign-in page end at one's own server, with a false sign-in page of one's own on it.

    Stopped by: from sign-in people go to their own places alone (class_walls/leading.py, and JupyterHub's own look).
    """
    mallory.serve()
    client = professor.new_client()
    host = urlsplit(client.base).netloc
    own = {host, urlsplit(client.origin(f"/user/{professor.account}/")).netloc}
    form = {"username": professor.account, "password": professor.password}
    by_form = {**CLICK, "Origin": client.base}
    try:
        for asked in ONWARD:
            to = asked.replace("{host}", host).replace("{}", mallory.account)
            if signed_in:
                answer = client.get("/hub/login", params={"next": to}, headers=CLICK, allow_redirects=False)
            else:
                form["_xsrf"] = client._xsrf("/hub/")
                answer = client._request(
                    "POST", "/hub/login", params={"next": to}, data=form, headers=by_form, allow_redirects=False
                )
            for _ in range(6):
                if "Location" not in answer.headers:
                    break
                # As browsers read it.
                url = urljoin(answer.url, answer.headers["Location"].replace("\\", "/"))
                assert urlsplit(url).netloc in own, (asked, url)
                if urlsplit(url).netloc != host:
                    break
                answer = client.get(url.removeprefix(client.base), headers=CLICK, allow_redirects=False)
            assert answer.status_code in (200, 302, 303, 400, 403, 404), (asked, answer.status_code)
    finally:
        client.http.close()


def test_a_students_script_becomes_a_worker(alice: Person) -> None:
    """Tries: to register a service worker, which would see pages of its path even after its student signed out.

    Stopped by: nginx serves no script that a browser requests as a worker.
    """
    worker = {**SCRIPT, "Sec-Fetch-Dest": "serviceworker", "Sec-Fetch-Mode": "same-origin", "Service-Worker": "script"}
    alice.serve()
    for path in (f"/user/{alice.account}/files/worker.js", "/hub/static/js/home.js", WORK):
        assert alice.client.get(path, headers=worker).status_code == 403, path


@pytest.mark.parametrize("origin", ["http://{}", "https://{}:8443", "https://x.{}", "https://evil.example", "null"])
def test_a_websocket_from_elsewhere(alice: Person, origin: str) -> None:
    """Tries: to open a terminal with a websocket from another origin, also from the same host without TLS (D10).

    Stopped by: nginx passes on only websockets with the origin https://HOST.
    """
    client = alice.serve()
    name = client.api("POST", "/api/terminals").json()["name"]
    path = f"/user/{alice.account}/terminals/websocket/{name}"
    host, cookie = urlsplit(client.origin(path)).netloc, client._cookies(client.origin(path) + path)
    try:
        # The same request with the right origin works.
        client.websocket(path).close()
        line = websocket.WebSocket(sslopt={"ca_certs": str(client.http.verify)})
        with contextlib.closing(line), pytest.raises(websocket.WebSocketBadStatusException) as refused:
            line.connect(f"wss://{host}{path}", cookie=cookie, origin=origin.format(host), timeout=20)
        assert refused.value.status_code == 403
    finally:
        client.api("DELETE", f"/api/terminals/{name}")


@pytest.mark.parametrize("count", [4, 12, 100])
def test_cookies_that_shut_somebody_out(alice: Person, count: int) -> None:
    """Tries: to give a browser so many cookies that no server accepts its requests any more (D8).

    Stopped by: nginx accepts them, and answers with a page that makes the browser delete them.
    """
    header = "; ".join(f"junk{number}={'x' * 3900}" for number in range(count))
    answer = alice.new_client().get("/hub/home", headers={**CLICK, "Cookie": header})
    assert answer.headers["Clear-Site-Data"] == '"cookies"'
    assert "Continue and sign in" in answer.text and answer.status_code == 431


def test_a_link_signs_somebody_out(alice: Person) -> None:
    """Tries: to sign a student out during a lab with a link, an image or a script.

    Stopped by: only a form with the page's own token signs out.
    """
    client = alice.new_client()
    for headers in (CLICK, {**CLICK, "Sec-Fetch-Site": "cross-site"}):
        assert "sign-out" in client.get("/hub/logout", headers=headers).text
    assert client._request("POST", "/hub/logout", headers=CLICK).status_code == 403
    assert client.get("/hub/home", allow_redirects=False).status_code == 200
    client.sign_out()
    assert client.get("/hub/home", allow_redirects=False).status_code == 302


def test_a_professor_starts_a_server_by_a_link(professor: Person, cast: Cast) -> None:
    """Tries: to let a professor's browser start another person's server, with a page that opens the hub's address for
    it.

    Stopped by: such an address starts only one's own server; others need the admin page's button.
    """
    bob = cast.people["bob"]
    bob.client.get("/hub/home")
    assert professor.client.get(f"/hub/spawn/{bob.account}", headers=CLICK).status_code == 403
