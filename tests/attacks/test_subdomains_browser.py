"""What a page under a student's name can do in a professor's browser: Chromium's own walls between names."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from selenium import webdriver
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support import expected_conditions as seen

from tests.attacks.test_subdomains import apart as only_where_names_are
from tests.attacks.test_subdomains import name_of
from tests.support.attackers import Person
from tests.support.browser import browser, until, wait
from tests.support.hub import Hub

apart = only_where_names_are

#: What comes of a request in the visitor's name: what can be read of its answer, or why nothing can.
READ = """
const [address, done] = arguments;
fetch(address, {credentials: "include"}).then(answer => answer.text().then(text => done(text)), why => done("" + why));
"""
CHANGE = """
const [address, done] = arguments;
fetch(address, {method: "POST", mode: "no-cors", credentials: "include", headers: {"Content-Type": "text/plain"},
                body: JSON.stringify({note: "planted"})}).then(() => done("sent"), why => done("" + why));
"""
FRAME = """
const [address, done] = arguments, frame = document.createElement("iframe");
frame.src = address; frame.onload = () => {
    const inside = frame.contentDocument;
    done(inside ? inside.body.innerText : "another origin");
};
document.body.append(frame);
"""
PLANT = """
const [domain] = arguments;
for (const [name, path] of [["__Host-jupyterhub-hub-login", "/"], ["__Host-jupyterhub-session-id", "/"],
                            ["jupyterhub-session-id", "/hub/"], ["_xsrf", "/hub/home"]]) {
    document.cookie = `${name}=planted; Domain=${domain}; Path=${path}; Secure`;
}
return document.cookie;
"""


@pytest.fixture(scope="module")
def visiting(
    hub: Hub, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[webdriver.Chrome]:
    """A professor's browser, signed in."""
    cast = request.getfixturevalue("cast")
    professor, mallory = cast.people["professor"], cast.people["mallory"]
    mallory.serve()
    with browser(hub, tmp_path_factory.mktemp("visit"), "subdomains") as driver:
        driver.get(hub.document["url"])
        wait(driver, "#username_input").send_keys(professor.account)
        field = wait(driver, "#password_input")
        field.send_keys(professor.password)
        field.send_keys(Keys.ENTER)
        until(driver, seen.staleness_of(field), "the form is still there")
        yield driver


@pytest.fixture
def page(visiting: webdriver.Chrome, mallory: Person) -> webdriver.Chrome:
    """The professor looks at Mallory's server: whatever a script there does, Mallory could have put into a notebook."""
    lab = f"https://{name_of(mallory)}/user/{mallory.account}/lab"
    visiting.get(lab)
    until(visiting, lambda driver: "/lab" in driver.current_url or "oauth2/authorize" in driver.current_url, "no visit")
    if "oauth2/authorize" in visiting.current_url:
        wait(visiting, "input[type=submit], button[type=submit]").click()
    wait(visiting, ".jp-LabShell, #jp-main-dock-panel, .jp-Launcher", 120)
    assert visiting.execute_script("return location.host") == name_of(mallory)
    return visiting


def test_a_script_reads_the_hub(page: webdriver.Chrome, hub: Hub, alice: Person) -> None:
    """Tries: to read the professor's pages of the hub, and another student's server, by script.

    Stopped by: they are other origins, and give no leave.
    """
    alice.serve()
    for address in (
        f"{hub.document['url']}hub/token",
        f"{hub.document['url']}hub/api/user",
        f"{hub.document['url']}services/students-work/",
        f"https://{name_of(alice)}/user/{alice.account}/api/contents",
    ):
        assert page.execute_async_script(READ, address).startswith("TypeError"), address


def test_a_script_reads_the_hub_as_its_own(page: webdriver.Chrome) -> None:
    """Tries: to read the hub's pages under Mallory's own name, where they would be of one origin.

    Stopped by: there are none; the answer leads to the hub's name, which is another origin.
    """
    for path in ("/hub/token", "/hub/home", "/hub/api/user", "/user/../hub/token", "/user/..%2fhub/token"):
        assert page.execute_async_script(READ, path).startswith("TypeError"), path


def test_a_script_changes_something_at_the_hub(page: webdriver.Chrome, hub: Hub, professor: Person) -> None:
    """Tries: to make an API token with the professor's rights, blindly.

    Stopped by: the hub wants a token of its own pages with each change (XSRF), and a page cannot read that.
    """
    address = f"{hub.document['url']}hub/api/users/{professor.account}/tokens"
    page.execute_async_script(CHANGE, address)
    client = professor.client
    listed = client.get(
        f"/hub/api/users/{professor.account}/tokens",
        headers={"X-XSRFToken": client._xsrf("/hub/"), "Referer": f"{client.base}/hub/token"},
    )
    assert listed.status_code == 200, listed.text
    assert "planted" not in listed.text


def test_a_frame_shows_the_hub(page: webdriver.Chrome, hub: Hub) -> None:
    """Tries: to show the hub within Mallory's page and to read or click what is in it.

    Stopped by: the hub lets itself be framed by nobody else (Content-Security-Policy), and it is another origin.
    """
    assert page.execute_async_script(FRAME, f"{hub.document['url']}hub/home") == "another origin"


def test_a_script_sets_the_hubs_cookies(page: webdriver.Chrome, hub: Hub, professor: Person) -> None:
    """Tries: to sign the professor out, or into another's session, by cookies for all names.

    Stopped by: the hub's own begin with __Host-, which browsers let no other name set.
    """
    assert "__Host-" not in page.execute_script(PLANT, hub.document["hostname"])
    page.get(f"{hub.document['url']}hub/home")
    assert wait(page, "#logout")
    assert professor.account in page.page_source
