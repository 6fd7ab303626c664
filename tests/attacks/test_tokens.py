"""A student's program requests more from hub and servers than its owner may; each server has a token of its owner."""

from __future__ import annotations

import pytest

from tests.support.attackers import Person
from tests.support.hub import Hub
from tests.support.visiting import CLICK


@pytest.fixture
def own(mallory: Person) -> str:
    return mallory.token()


def test_own_token_lists_the_class(mallory: Person, own: str) -> None:
    """Tries: to list all people of the hub with the token of one's own server.

    Stopped by: JupyterHub's scopes: a server's token may read only its owner.
    """
    assert mallory.with_token("GET", "/hub/api/users", own).status_code == 403


def test_own_token_reads_another_person(mallory: Person, alice: Person, own: str) -> None:
    """Tries: to read what the hub knows of another student, including their server and tokens.

    Stopped by: JupyterHub's scopes.
    """
    for path in ("", "/tokens", "/server/progress"):
        answer = mallory.with_token("GET", f"/hub/api/users/{alice.account}{path}", own)
        assert answer.status_code in (403, 404), (path, answer.status_code)
        assert "token" not in answer.json() and "last_activity" not in answer.text


def test_own_token_makes_a_token_for_another(mallory: Person, alice: Person, professor: Person, own: str) -> None:
    """Tries: to make an API token for another student and for the professor.

    Stopped by: JupyterHub's scopes.
    """
    for person in (alice, professor):
        answer = mallory.with_token("POST", f"/hub/api/users/{person.account}/tokens", own, json={})
        assert answer.status_code in (403, 404)


@pytest.mark.parametrize("scope", ["admin:users", "admin:servers", "access:servers", "list:users", "proxy", "shares"])
def test_a_token_with_more_scopes(mallory: Person, scope: str) -> None:
    """Tries: to make a token for oneself with rights that only the hub's staff have.

    Stopped by: a token has no scope that its owner does not have.
    """
    client = mallory.serve()
    client.get("/hub/token")
    answer = client.http.post(
        f"{client.base}/hub/api/users/{mallory.account}/tokens",
        json={"scopes": [scope]},
        headers={"X-XSRFToken": client._xsrf("/hub/"), "Referer": f"{client.base}/hub/token"},
        timeout=20,
    )
    assert answer.status_code in (400, 403), answer.text
    assert '"token":' not in answer.text


def test_a_role_by_the_users_own_request(mallory: Person, own: str) -> None:
    """Tries: to give oneself the instructors' role: as an admin, with a group, with a new account.

    Stopped by: JupyterHub's scopes; groups come only from the system's accounts.
    """
    for method, path, body in (
        ("PATCH", f"/hub/api/users/{mallory.account}", {"admin": True}),
        ("POST", "/hub/api/groups/instructors/users", {"users": [mallory.account]}),
        ("POST", "/hub/api/groups/wheel", None),
        ("POST", "/hub/api/users", {"usernames": ["second"], "admin": True}),
        ("PUT", "/hub/api/services/mine", {}),
    ):
        answer = mallory.with_token(method, path, own, json=body)
        assert answer.status_code in (403, 404, 405), (path, answer.status_code)


def test_another_persons_server_is_started_and_stopped(mallory: Person, alice: Person, hub: Hub, own: str) -> None:
    """Tries: to stop another student's server, and to start one in their name.

    Stopped by: JupyterHub's scopes; the server keeps running.
    """
    alice.serve()
    before = hub.run(f"systemctl show -p MainPID {alice.unit}")
    for method in ("DELETE", "POST"):
        answer = mallory.with_token(method, f"/hub/api/users/{alice.account}/server", own)
        assert answer.status_code in (403, 404)
    assert hub.run(f"systemctl show -p MainPID {alice.unit}") == before


def test_another_persons_server_with_own_token(mallory: Person, alice: Person, own: str) -> None:
    """Tries: to run code in another student's server with one's own token and one's own session.

    Stopped by: each server asks the hub who the visitor is.
    """
    alice.serve()
    path = f"/user/{alice.account}/api/contents"
    assert mallory.with_token("GET", path, own).status_code == 403
    # The hub asks a signed-in browser for an authorization that it then refuses.
    answer = mallory.client.get(path, allow_redirects=False)
    assert answer.status_code in (302, 403), answer.status_code
    assert mallory.client.get(f"/user/{alice.account}/lab").status_code in (403, 404)


def test_anothers_cookie_made_from_ones_own(mallory: Person, alice: Person) -> None:
    """Tries: to use the signed cookie of one's own server under the name and path of another student's.

    Stopped by: the name of a cookie is part of what is signed.
    """
    client = mallory.serve()
    client.get(f"/user/{mallory.account}/lab")
    alice.serve()
    prefix = "" if client.origin(f"/user/{mallory.account}/") == client.base else "__Host-"
    own = [cookie for cookie in client.http.cookies if cookie.name == f"{prefix}jupyterhub-user-{mallory.account}"]
    assert own, [cookie.name for cookie in client.http.cookies]
    forged = client.http.__class__()
    forged.trust_env, forged.verify = False, client.http.verify
    header = f"{prefix}jupyterhub-user-{alice.account}={own[0].value}"
    address = f"{client.origin(f'/user/{alice.account}/')}/user/{alice.account}/api/contents"
    answer = forged.get(address, headers={"Cookie": header}, allow_redirects=False, timeout=20)
    assert answer.status_code in (302, 403), answer.status_code


def test_the_proxys_routes(mallory: Person, own: str) -> None:
    """Tries: to read and change the proxy's routes, through the hub's API.

    Stopped by: the scope "proxy", which only one service has.
    """
    for method in ("GET", "POST", "PATCH"):
        assert mallory.with_token(method, "/hub/api/proxy", own, json={}).status_code == 403


def test_the_hub_is_shut_down(mallory: Person, own: str) -> None:
    """Tries: to shut the hub down with its API.

    Stopped by: the scope "shutdown", which nobody has.
    """
    everything = {"servers": True, "proxy": True}
    assert mallory.with_token("POST", "/hub/api/shutdown", own, json=everything).status_code == 403


def test_a_server_is_shared_with_the_class(mallory: Person, own: str) -> None:
    """Tries: to share one's own server with others, who could then work under one's name.

    Stopped by: no sharing scopes.
    """
    for method, path in (("POST", "shares"), ("POST", "share-codes"), ("GET", "shares")):
        answer = mallory.with_token(
            method, f"/hub/api/{path}/{mallory.account}/", own, json={"user": "alice"} if path == "shares" else {}
        )
        assert answer.status_code in (403, 404), (path, answer.status_code)


def test_a_student_opens_pages_for_teachers(mallory: Person) -> None:
    """Tries: to open the admin page and "Students' work" as a student, with a click's headers.

    Stopped by: roles (JupyterHub), and the service's own check of the Unix groups.
    """
    for path in ("/hub/admin", "/services/students-work/", f"/services/students-work/of/{mallory.account}/"):
        assert mallory.client.get(path, headers=CLICK).status_code == 403, path
