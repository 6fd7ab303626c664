"""What a browser can be made to ask of a hub in somebody's name, told by the headers that no script can change."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import time

import pytest
import requests
import websocket

from runner.hub.client import HubClient
from tests.attacks.conftest import Cast
from tests.support.attackers import Outside, Person
from tests.support.hub import Hub
from tests.support.tokens import token_with_all_rights
from tests.support.visiting import CLICK

PASS = "__Host-Http-coursehub-owner"
WORK = "/services/students-work/"
#: A script of a page of the hub's own origin, as a student's server has it on a hub with one domain.
SCRIPT = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}
#: What else such a script can have its browser ask.
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
    """Tries: to read a page of the hub's in a professor's name, by a script of the hub's own origin (S4's first step).

    Stopped by: pages answer to a person's own look alone (Fetch Metadata), in class_walls and "Students' work".
    """
    answer = professor.client.get(page, headers=SCRIPTS[how], allow_redirects=False)
    assert answer.status_code == 403
    assert "_xsrf" not in answer.text and professor.account not in answer.text


def test_a_professor_makes_a_token(professor: Person) -> None:
    """Tries: to make an API token with all of a professor's rights, even with the page's own XSRF token (S4's second).

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
    """Tries: to look at a student's files by a token that has all of a professor's rights, with a browser's headers.

    Stopped by: "Students' work" takes a browser's session alone, whatever else comes with a token (S4's last step).
    """
    professor.client.get("/hub/home")
    token = token_with_all_rights(hub, professor.account)
    for path in ("", f"of/{alice.account}/"):
        answer = mallory.with_token("GET", WORK + path, token, headers=CLICK)
        assert answer.status_code == 403, path
        answer = mallory.with_token("GET", f"{WORK}{path}?token={token}", "", headers=CLICK, allow_redirects=False)
        assert answer.status_code == 302 and "/hub/api/oauth2/authorize" in answer.headers["Location"], path


def test_a_professor_is_shown_a_students_server(professor: Person, mallory: Person) -> None:
    """Tries: to bring a professor to one's own server, whose pages would act in the professor's name (S4).

    Stopped by: nginx lets a browser into its owner's server alone, by a pass that the hub gives to nobody else.
    """
    mallory.serve()
    for path in ("lab", "files/evil.html", "static/evil.js"):
        answer = professor.client.get(f"/user/{mallory.account}/{path}", headers=CLICK)
        assert answer.status_code == 403 and "/hub/enter/" in answer.url, (path, answer.url)
    answer = professor.client.get(f"/user/{mallory.account}/lab", headers=SCRIPT)
    assert answer.status_code == 403 and "X-JupyterHub-Version" not in answer.headers


#: Addresses that lead to Mallory's server by one reading or another, {} is her account and {own} the visitor's.
CROOKED = [
    "//x/user/{}/lab",
    "/hub/%2e%2e/user/{}/lab",
    "/hub/..%2fuser/{}/lab",
    "/user/{}/..%2f..%2fhub/home",
    "/user/{}/..%2f{own}/lab",
    "/user/{}/%2e%2e/{own}/lab",
    "/user/{}%2f..%2f{own}/lab",
    "/user/{own}/..%2f{}/lab",
    "/user/{own}%2f..%2f{}/lab",
    "/user%2f{}/lab",
    "/%75ser/{}/lab",
    "/%75ser/{}/..%2f..%2fhub/home",
    "/user//{}/lab",
    "/user\\{}/lab",
    "/\\user/{}/lab",
    "/user/{}#/../{own}/lab",
    "/user/{}%00/lab",
    "/USER/{}/lab",
    "/user/{}",
    "/user/{}?x=/user/{own}/",
]


@pytest.mark.parametrize("address", CROOKED)
def test_a_crooked_address_leads_past_the_pass(hub: Hub, professor: Person, mallory: Person, address: str) -> None:
    """Tries: to have nginx read another person's server in an address than the proxy behind it does.

    Stopped by: nginx answers no address that could be read in two ways, and compares both readings of the name.
    """
    mallory.serve()
    professor.client.get("/hub/home")
    path = address.replace("{own}", professor.account).replace("{}", mallory.account)
    cookie = "; ".join(f"{one.name}={one.value}" for one in professor.client.http.cookies)
    request = [f"GET {path} HTTP/1.1", f"Host: {hub.document['hostname']}", f"Cookie: {cookie}", "Connection: close"]
    request += [f"{name}: {value}" for name, value in CLICK.items()]
    answer = Outside(hub).send("\r\n".join([*request, "", ""]).encode()).decode(errors="replace")
    status, _, head = answer.partition("\r\n")
    # Whatever comes, no server of Mallory's said it: the hub or nginx did.
    assert status.split()[1] in ("302", "400", "403", "404"), status
    assert f"/user/{mallory.account}/oauth_callback" not in head
    assert "X-JupyterHub-Version" in head or "server: nginx" in head.lower()
    assert "TornadoServer" not in head


@pytest.mark.parametrize("forged", ["another's", "lengthened", "of no secret", "of another's name"])
def test_a_pass_is_forged(professor: Person, mallory: Person, forged: str) -> None:
    """Tries: to make a pass to one's own server for a professor's browser, or to use one's own elsewhere.

    Stopped by: a pass proves a name and a time by a secret that the hub and nginx alone have.
    """
    mallory.serve()
    professor.client.get("/hub/home")

    def given(client: HubClient) -> str:
        return next(cookie.value or "" for cookie in client.http.cookies if cookie.name == PASS)

    ends, proof = given(professor.client).split(".")
    later = int(time.time()) + 1000
    made = hashlib.md5(f"{later} {mallory.account} ".encode(), usedforsecurity=False).digest()
    value = {
        "another's": f"{ends}.{proof}",
        "lengthened": f"{int(ends) + 1000}.{proof}",
        "of no secret": f"{later}.{base64.urlsafe_b64encode(made).decode().rstrip('=')}",
        "of another's name": f"{ends}.{proof} {mallory.account}",
    }[forged]
    headers = {**SCRIPT, "Cookie": f"{PASS}={value}"}
    url = f"{professor.client.base}/user/{mallory.account}/api"
    answer = requests.get(url, headers=headers, verify=professor.client.http.verify, timeout=20, allow_redirects=False)
    assert answer.status_code == 403 and "version" not in answer.text
    # The owner's own pass gets there.
    own = {**SCRIPT, "Cookie": f"{PASS}={given(mallory.client)}"}
    answer = requests.get(url, headers=own, verify=professor.client.http.verify, timeout=20, allow_redirects=False)
    assert answer.status_code == 200 and "version" in answer.json(), answer.text


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
    """Tries: to have another site's page send a form, read the hub or frame it, with a student's cookies.

    Stopped by: Fetch Metadata and Origin, looked at by the hub, and by nginx for servers and services.
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
    """Tries: to have a link that begins with the hub's own address end at another site, signed in or not.

    Stopped by: JupyterHub's look at "next"; what leads to servers keeps the path alone.
    """
    for path in (f"/hub/login?next={address}", f"/hub/user-redirect/{address}", f"/hub/enter/{address}"):
        answer = alice.client.get(path, headers=CLICK, allow_redirects=False)
        to = answer.headers.get("Location", "/")
        assert to.startswith(("/", alice.client.base)) and not to.startswith(("//", "/\\")), (path, to)
        assert "evil" not in to.partition("?")[0].removeprefix("/hub/user/").partition("/")[0], (path, to)


def test_a_students_script_becomes_a_worker(alice: Person) -> None:
    """Tries: to register a service worker, which would see pages of its path also after its student signed out.

    Stopped by: nginx gives no script to a browser that fetches it as one.
    """
    worker = {**SCRIPT, "Sec-Fetch-Dest": "serviceworker", "Sec-Fetch-Mode": "same-origin", "Service-Worker": "script"}
    alice.serve()
    for path in (f"/user/{alice.account}/files/worker.js", "/hub/static/js/home.js", WORK):
        assert alice.client.get(path, headers=worker).status_code == 403, path


@pytest.mark.parametrize("origin", ["http://{}", "https://{}:8443", "https://x.{}", "https://evil.example", "null"])
def test_a_websocket_from_elsewhere(hub: Hub, alice: Person, origin: str) -> None:
    """Tries: to open a terminal by a websocket from another origin, the same host without TLS too (D10).

    Stopped by: nginx passes on websockets of https://HOST alone.
    """
    client, host = alice.serve(), hub.document["hostname"]
    name = client.api("POST", "/api/terminals").json()["name"]
    path = f"/user/{alice.account}/terminals/websocket/{name}"
    try:
        # The same with the right origin opens.
        client.websocket(path).close()
        cookie = "; ".join(f"{one.name}={one.value}" for one in client.http.cookies)
        line = websocket.WebSocket(sslopt={"ca_certs": str(client.http.verify)})
        with contextlib.closing(line), pytest.raises(websocket.WebSocketBadStatusException) as refused:
            line.connect(f"wss://{host}{path}", cookie=cookie, origin=origin.format(host), timeout=20)
        assert refused.value.status_code == 403
    finally:
        client.api("DELETE", f"/api/terminals/{name}")


def test_cookies_that_sign_somebody_out(alice: Person) -> None:
    """Tries: to sign somebody out by cookies of the hub's names, set for a longer path by a script or a sister host.

    Stopped by: of several cookies of one name the sound one counts; and there is no signing out but by a form.
    """
    client = alice.new_client()
    client.get("/hub/home")
    right = "; ".join(f"{one.name}={one.value}" for one in client.http.cookies)
    for header in (
        f"jupyterhub-hub-login=rubbish; {right}",
        f"{right}; jupyterhub-hub-login=rubbish",
        f"{right}; jupyterhub-hub-login=2|1:0|10:1|20:jupyterhub-hub-login|4:eA==|00",
    ):
        answer = requests.get(
            f"{client.base}/hub/home", headers={**CLICK, "Cookie": header}, verify=client.http.verify, timeout=20,
            allow_redirects=False,
        )  # fmt: skip
        assert answer.status_code == 200 and alice.account in answer.text
        assert "jupyterhub-hub-login=" not in answer.headers.get("Set-Cookie", "")


def test_a_cookie_signs_somebody_in_as_another(alice: Person, mallory: Person) -> None:
    """Tries: to put one's own session before another's, so that she works, and writes, in the attacker's name.

    Stopped by: the session counts that belongs to the pass, a cookie that no other host or path can set.
    """
    victim, attacker = alice.new_client(), mallory.new_client()
    theirs = next(one.value for one in attacker.http.cookies if one.name == "jupyterhub-hub-login")
    right = "; ".join(f"{one.name}={one.value}" for one in victim.http.cookies)
    for header in (f"jupyterhub-hub-login={theirs}; {right}", f"{right}; jupyterhub-hub-login={theirs}"):
        answer = requests.get(
            f"{victim.base}/hub/home", headers={**CLICK, "Cookie": header}, verify=victim.http.verify, timeout=20
        )
        assert alice.account in answer.text and f">{mallory.account}<" not in answer.text


@pytest.mark.parametrize("count", [4, 12, 100])
def test_cookies_that_shut_somebody_out(alice: Person, count: int) -> None:
    """Tries: to give a browser so many cookies that no server takes its requests any more (D8).

    Stopped by: nginx takes them, and answers with a page that has the browser forget them.
    """
    header = "; ".join(f"junk{number}={'x' * 3900}" for number in range(count))
    answer = alice.new_client().get("/hub/home", headers={**CLICK, "Cookie": header})
    assert answer.headers["Clear-Site-Data"] == '"cookies"'
    assert "Go on and sign in" in answer.text and answer.status_code == 431


def test_a_link_signs_somebody_out(alice: Person) -> None:
    """Tries: to sign a student out in the middle of a lab by a link, an image or a script.

    Stopped by: only a form with the page's own token does.
    """
    client = alice.new_client()
    for headers in (CLICK, {**CLICK, "Sec-Fetch-Site": "cross-site"}):
        assert "sign-out" in client.get("/hub/logout", headers=headers).text
    assert client._request("POST", "/hub/logout", headers=CLICK).status_code == 403
    assert client.get("/hub/home", allow_redirects=False).status_code == 200
    client.sign_out()
    assert client.get("/hub/home", allow_redirects=False).status_code == 302


def test_a_professor_starts_a_server_by_a_link(professor: Person, cast: Cast) -> None:
    """Tries: to have a professor's browser start another's server, by a page that opens the hub's address for it.

    Stopped by: an address starts one's own server alone; another's wants the Admin page's button.
    """
    bob = cast.people["bob"]
    bob.client.get("/hub/home")
    assert professor.client.get(f"/hub/spawn/{bob.account}", headers=CLICK).status_code == 403
