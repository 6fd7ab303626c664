"""What a page under a student's name can do in a professor's browser (S4): the browsers' own isolation of names."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.support import expected_conditions as seen

from tests.attacks.conftest import Cast
from tests.attacks.test_subdomains import apart as only_where_names_are
from tests.attacks.test_subdomains import name_of
from tests.support.attackers import Person
from tests.support.browser import KINDS, browser, press, until, wait
from tests.support.hub import Hub
from tests.support.visiting import visits

apart = only_where_names_are

#: The result of a request in the visitor's name: what can be read of its answer, or why nothing can.
READ = """
const [address, done] = arguments;
fetch(address, {credentials: "include"}).then(answer => answer.text().then(text => done(text)), why => done("" + why));
"""
#: A request whose answer no page may read, but that every page may send.
CHANGE = """
const [address, body, done] = arguments;
fetch(address, {method: "POST", mode: "no-cors", credentials: "include", headers: {"Content-Type": "text/plain"}, body})
    .then(() => done("sent"), why => done("" + why));
"""
FRAME = """
const [address, done] = arguments, frame = document.createElement("iframe");
frame.src = address; frame.onload = () => {
    const inside = frame.contentDocument;
    done(inside ? inside.body.innerText : "another origin");
};
document.body.append(frame);
"""
WINDOW = """
const [address, done] = arguments, opened = window.open(address);
setTimeout(() => {
    try { done(opened.closed ? "shut" : opened.document.body.innerText); } catch (why) { done(why.name); }
}, 4000);
"""
SOCKET = """
const [address, done] = arguments, line = new WebSocket(address);
line.onopen = () => done("open"); line.onerror = () => done("refused");
"""
#: Tokens that a test's request would have made; nobody of the hub may list them.
COUNT_TOKENS = """python3 - <<'END'
import sqlite3
hub = sqlite3.connect("file:/srv/jupyterhub/jupyterhub.sqlite?mode=ro", uri=True)
print(*hub.execute("SELECT count(*) FROM api_tokens WHERE note = 'planted'").fetchone())
END
"""
PLANT = """
const [domain] = arguments;
for (const [name, path] of [["__Host-jupyterhub-hub-login", "/"], ["__Host-jupyterhub-session-id", "/"],
                            ["jupyterhub-session-id", "/hub/"], ["_xsrf", "/hub/home"]]) {
    document.cookie = `${name}=planted; Domain=${domain}; Path=${path}; Secure`;
}
return document.cookie;
"""


@pytest.fixture(scope="module", params=KINDS)
def visiting(hub: Hub, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[WebDriver]:
    """A professor's browser, signed in."""
    if not visits(hub):
        pytest.skip("this hub has isolation: paths")
    cast: Cast = request.getfixturevalue("cast")
    professor, mallory = cast.people["professor"], cast.people["mallory"]
    mallory.serve()
    home = tmp_path_factory.mktemp(f"visit-{request.param}")
    with browser(hub, home, f"subdomains-{request.param}", kind=request.param) as driver:
        driver.set_script_timeout(60)
        driver.get(hub.document["url"])
        wait(driver, "#username_input").send_keys(professor.account)
        field = wait(driver, "#password_input")
        field.send_keys(professor.password)
        field.send_keys(Keys.ENTER)
        until(driver, seen.staleness_of(field), "the form is still there")
        yield driver


@pytest.fixture
def page(visiting: WebDriver, mallory: Person) -> WebDriver:
    """The professor looks at Mallory's server: whatever a script there does, Mallory could have put into a notebook."""
    there = name_of(mallory)
    if visiting.execute_script("return location.host") != there:
        visiting.get(f"https://{there}/user/{mallory.account}/lab")
        arrived = ("/oauth2/authorize", f"//{there}/user/{mallory.account}/lab")
        until(visiting, lambda driver: any(one in driver.current_url for one in arrived), "no visit")
        # The first time the hub asks whether the server may know the visitor.
        if "/oauth2/authorize" in visiting.current_url:
            press(visiting, "input[type=submit], button[type=submit]")
    wait(visiting, ".jp-LabShell, #jp-main-dock-panel, .jp-Launcher", 120)
    assert visiting.execute_script("return location.host") == there
    return visiting


def test_a_script_reads_the_hub(page: WebDriver, hub: Hub, alice: Person) -> None:
    """Tries: to read the professor's pages of the hub, "Students' work" and another student's server, with a script.

    Stopped by: they are other origins, and allow none.
    """
    alice.serve()
    client = alice.client
    for address in (
        f"{hub.document['url']}hub/token",
        f"{hub.document['url']}hub/api/user",
        f"{client.origin('/services/students-work/')}/services/students-work/of/{alice.account}/",
        f"{client.origin(f'/user/{alice.account}/')}/user/{alice.account}/api/contents",
    ):
        assert page.execute_async_script(READ, address).startswith("TypeError"), address


def test_a_script_reads_the_hub_as_its_own(page: WebDriver) -> None:
    """Tries: to read the hub's pages under Mallory's own name, where they would have the same origin.

    Stopped by: there are none; the answer redirects to the hub's name, which is another origin.
    """
    for path in ("/hub/token", "/hub/home", "/hub/api/user", "/user/../hub/token", "/user/..%2fhub/token"):
        assert page.execute_async_script(READ, path).startswith("TypeError"), path


def test_a_script_changes_something_at_the_hub(page: WebDriver, hub: Hub, professor: Person, bob: Person) -> None:
    """Tries: to make an API token, to sign the professor out and to start a student's server, without reading answers.

    Stopped by: Fetch Metadata: the hub lets no other origin change anything; and its own pages' token (XSRF).
    """
    bob.client.get("/hub/home")
    bob.client.stop_server()
    for path in (
        f"hub/api/users/{professor.account}/tokens",
        "hub/logout",
        f"hub/api/users/{bob.account}/server",
        f"hub/spawn/{bob.account}",
    ):
        page.execute_async_script(CHANGE, hub.document["url"] + path, json.dumps({"note": "planted"}))
    assert hub.run(COUNT_TOKENS).strip() == "0"
    assert hub.run(f"systemctl is-active {bob.unit} || true").strip() == "inactive"
    page.get(f"{hub.document['url']}hub/home")
    assert wait(page, "#logout")


def test_a_script_uses_the_visitors_own_server(page: WebDriver, professor: Person) -> None:
    """Tries: to write into the professor's own server and to open a terminal there, from Mallory's page.

    Stopped by: Fetch Metadata and Origin, which nginx checks: both are of the same site, but not of one origin.
    """
    client = professor.serve()
    own = f"/user/{professor.account}"
    address = client.origin(f"{own}/") + own
    name = client.api("POST", "/api/terminals").json()["name"]

    def there() -> list[list[str]]:
        terminals, kernels, home = (
            client.api("GET", f"/api/{kind}").json() for kind in ("terminals", "kernels", "contents")
        )
        return [
            [one["name"] for one in terminals],
            [one["id"] for one in kernels],
            [one["name"] for one in home["content"]],
        ]

    before = there()
    assert name in before[0]
    try:
        for path in ("/api/terminals", "/api/contents", "/api/kernels"):
            page.execute_async_script(CHANGE, address + path, json.dumps({"type": "directory"}))
        assert page.execute_async_script(READ, f"{address}/api/contents").startswith("TypeError")
        socket = f"{address.replace('https', 'wss', 1)}/terminals/websocket/{name}"
        assert page.execute_async_script(SOCKET, socket) == "refused"
        assert there() == before
    finally:
        client.api("DELETE", f"/api/terminals/{name}")


def test_a_frame_shows_the_hub(page: WebDriver, hub: Hub) -> None:
    """Tries: to show the hub within Mallory's page and to read or click its content.

    Stopped by: the hub can be framed only by itself (Content-Security-Policy), and it is another origin.
    """
    assert page.execute_async_script(FRAME, f"{hub.document['url']}hub/home") == "another origin"


def test_a_window_shows_a_script_the_hub(page: WebDriver, hub: Hub) -> None:
    """Tries: to open the hub in another window, and to read and control it from Mallory's page.

    Stopped by: the hub's pages are isolated from their opener (COOP), and they are another origin.
    """
    here = page.current_window_handle
    try:
        assert page.execute_async_script(WINDOW, f"{hub.document['url']}hub/home") in ("shut", "SecurityError")
    finally:
        for opened in set(page.window_handles) - {here}:
            page.switch_to.window(opened)
            page.close()
        page.switch_to.window(here)


def test_a_script_sets_the_hubs_cookies(page: WebDriver, hub: Hub, professor: Person) -> None:
    """Tries: to sign the professor out, or into another's session, with cookies for all names.

    Stopped by: the hub's own begin with __Host-, which browsers let no other name set.
    """
    assert "__Host-" not in page.execute_script(PLANT, hub.document["hostname"])
    page.get(f"{hub.document['url']}hub/home")
    assert wait(page, "#logout")
    assert professor.account in page.page_source
