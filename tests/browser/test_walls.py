"""What a script on a server's page can do in a real browser if all servers are below the hub's own name.

With names of their own: tests/attacks/test_subdomains_browser.py.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from selenium.webdriver.remote.webdriver import WebDriver

from tests.browser.test_browser import OPEN_AND_LOOK
from tests.support.browser import KINDS, browser, sign_in, until, wait
from tests.support.hub import Hub

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

PROFESSOR = "rivera"
#: Reads an address in each way that a script can, and returns the results.
FETCH = """
const [address, done] = arguments;
const how = ["cors", "no-cors", "same-origin"];
Promise.all(how.map(mode => fetch(address, {mode, credentials: "include"}).then(got => got.status, String))).then(done);
"""
FRAME = """
const [address, done] = arguments, frame = document.createElement("iframe");
frame.onload = () => {
    let seen;
    try { seen = frame.contentDocument ? frame.contentDocument.body.innerText : ""; } catch (error) { seen = ""; }
    frame.remove();
    done(seen);
};
frame.src = address;
document.body.append(frame);
"""
WORKER = """
const [address, done] = arguments;
navigator.serviceWorker.register(address).then(() => done("registered"), error => done(String(error)));
"""


@pytest.fixture(scope="module")
def hub(one_domain: Hub) -> Hub:
    return one_domain


@pytest.fixture(scope="module", params=KINDS)
def inside(hub: Hub, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[WebDriver]:
    """A professor's browser on a server's page, whose scripts have the origin of a student's on one domain."""
    kind: str = request.param
    with browser(hub, tmp_path_factory.mktemp(f"walls-{kind}"), f"walls-{kind}", kind=kind) as driver:
        sign_in(driver, hub, PROFESSOR, f"{hub.document['url']}hub/spawn")
        wait(driver, ".jp-Launcher, .jp-DirListing", 120)
        driver.set_script_timeout(60)
        yield driver


@pytest.mark.parametrize("path", ["hub/home", "hub/admin", "hub/logout", "services/students-work/", "user/rivera/lab"])
def test_window_that_a_script_opens_is_shut_to_it(hub: Hub, inside: WebDriver, path: str) -> None:
    if path.startswith("user/") and inside.caps["browserName"] == "firefox":
        pytest.skip("Firefox parts no page of a server from another one of it: docs/security.md")
    here = inside.current_window_handle
    try:
        assert inside.execute_async_script(OPEN_AND_LOOK, hub.document["url"] + path) == "shut"
    finally:
        for opened in set(inside.window_handles) - {here}:
            inside.switch_to.window(opened)
            inside.close()
        inside.switch_to.window(here)


@pytest.mark.parametrize("path", ["hub/home", "hub/admin", "hub/api/user", "hub/api/users", "services/students-work/"])
def test_script_reads_nothing_of_the_hub(hub: Hub, inside: WebDriver, path: str) -> None:
    assert inside.execute_async_script(FETCH, hub.document["url"] + path) == [403, 403, 403]


@pytest.mark.parametrize("path", ["hub/home", "hub/logout", "services/students-work/"])
def test_frame_shows_a_script_nothing(hub: Hub, inside: WebDriver, path: str) -> None:
    seen = inside.execute_async_script(FRAME, hub.document["url"] + path)
    assert PROFESSOR not in seen and "Sign out" not in seen


def test_script_reads_no_cookie_of_the_hubs(hub: Hub, inside: WebDriver) -> None:
    """Not even at the hub's own address: the hub's API requires the XSRF token."""
    here = inside.current_url
    inside.get(f"{hub.document['url']}hub/home")
    wait(inside, "#start")
    seen = inside.execute_script("return document.cookie")
    inside.get(here)
    wait(inside, ".jp-Launcher, .jp-DirListing", 120)
    assert seen == ""


def test_script_becomes_no_worker(hub: Hub, inside: WebDriver) -> None:
    address = f"{hub.document['url']}user/{PROFESSOR}/static/favicons/favicon.ico"
    assert "registered" not in inside.execute_async_script(WORKER, address)


def test_students_page_is_not_shown_to_a_professor(hub: Hub, inside: WebDriver) -> None:
    inside.get(f"{hub.document['url']}user/gkim/lab")
    text = until(inside, lambda d: d.execute_script("return document.body.innerText"), "no page")
    assert "This is the server of gkim" in text
    assert "/hub/enter/user/gkim/" in inside.current_url
