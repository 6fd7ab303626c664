"""All servers are below the hub's own name (`isolation: paths`): what a browser needs to open one."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Iterator

import pytest
import requests

from runner.hub.client import HubClient
from tests.attacks.conftest import Cast, cast_of
from tests.attacks.test_browser_requests import CLICK, SCRIPT
from tests.support.attackers import Outside, Person
from tests.support.hub import Hub

PASS = "__Host-Http-coursehub-owner"


@pytest.fixture(scope="module")
def hub(one_domain: Hub) -> Hub:
    """Not the hub of the other attacks, whose servers have names of their own."""
    return one_domain


@pytest.fixture(scope="module")
def cast(hub: Hub, request: pytest.FixtureRequest) -> Iterator[Cast]:
    yield from cast_of(hub, request)


def test_a_professor_is_shown_a_students_server(professor: Person, mallory: Person) -> None:
    """Tries: to bring a professor to one's own server, whose pages would act in the professor's name (S4).

    Stopped by: nginx lets a browser only into its owner's server, with a pass that the hub gives to nobody else.
    """
    mallory.serve()
    for path in ("lab", "files/evil.html", "static/evil.js"):
        answer = professor.client.get(f"/user/{mallory.account}/{path}", headers=CLICK)
        assert answer.status_code == 403 and "/hub/enter/" in answer.url, (path, answer.url)
    answer = professor.client.get(f"/user/{mallory.account}/lab", headers=SCRIPT)
    assert answer.status_code == 403 and "X-JupyterHub-Version" not in answer.headers


#: Addresses that lead to Mallory's server in one interpretation or another; {} is her account, {own} the visitor's.
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
    """Tries: to let nginx and the proxy behind it read different owners in one address.

    Stopped by: nginx refuses ambiguous addresses, and compares both readings of the name.
    """
    mallory.serve()
    professor.client.get("/hub/home")
    path = address.replace("{own}", professor.account).replace("{}", mallory.account)
    cookie = "; ".join(f"{one.name}={one.value}" for one in professor.client.http.cookies)
    request = [f"GET {path} HTTP/1.1", f"Host: {hub.document['hostname']}", f"Cookie: {cookie}", "Connection: close"]
    request += [f"{name}: {value}" for name, value in CLICK.items()]
    answer = Outside(hub).send("\r\n".join([*request, "", ""]).encode()).decode(errors="replace")
    status, _, head = answer.partition("\r\n")
    # The hub or nginx answered, not a server of Mallory's.
    assert status.split()[1] in ("302", "400", "403", "404"), status
    assert f"/user/{mallory.account}/oauth_callback" not in head
    assert "X-JupyterHub-Version" in head or "server: nginx" in head.lower()
    assert "TornadoServer" not in head


@pytest.mark.parametrize("forged", ["another's", "lengthened", "of no secret", "of another's name"])
def test_a_pass_is_forged(professor: Person, mallory: Person, forged: str) -> None:
    """Tries: to make a pass to one's own server for a professor's browser, or to use one's own pass elsewhere.

    Stopped by: a pass signs a name and a time with a secret that only the hub and nginx have.
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
    # The owner's own pass works.
    own = {**SCRIPT, "Cookie": f"{PASS}={given(mallory.client)}"}
    answer = requests.get(url, headers=own, verify=professor.client.http.verify, timeout=20, allow_redirects=False)
    assert answer.status_code == 200 and "version" in answer.json(), answer.text


def test_cookies_that_sign_somebody_out(alice: Person) -> None:
    """Tries: to sign somebody out with cookies of the hub's names, set for a longer path by a script or a sister host.

    Stopped by: of several cookies with one name the valid one counts; and only a form signs out.
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
    """Tries: to put one's own session before another's, so that the victim works and writes in the attacker's name.

    Stopped by: the session that belongs to the pass counts, a cookie that no other host or path can set.
    """
    victim, attacker = alice.new_client(), mallory.new_client()
    theirs = next(one.value for one in attacker.http.cookies if one.name == "jupyterhub-hub-login")
    right = "; ".join(f"{one.name}={one.value}" for one in victim.http.cookies)
    for header in (f"jupyterhub-hub-login={theirs}; {right}", f"{right}; jupyterhub-hub-login={theirs}"):
        answer = requests.get(
            f"{victim.base}/hub/home", headers={**CLICK, "Cookie": header}, verify=victim.http.verify, timeout=20
        )
        assert alice.account in answer.text and f">{mallory.account}<" not in answer.text
