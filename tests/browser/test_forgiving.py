"""What a person sees who cannot get in: caps lock, the hub in a frame of the LMS, a hub that dies during a start."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver.remote.webdriver import WebDriver

from tests.support.authority import Authority
from tests.support.browser import browser, press, shoot, sign_in, until, wait
from tests.support.hub import Hub
from tests.support.lti import Platform

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

STUDENT = "hlarsen"
LMS_PORT = 9446
#: Selenium cannot press caps lock. The page cannot tell this event from a real one.
TYPE_A = "arguments[0].dispatchEvent(new KeyboardEvent('keydown', {key: 'A', modifierCapsLock: arguments[1]}))"
#: Seconds of each start of the student's server: long enough to kill the hub in the middle of it.
SLOW_START = 8
DROP_IN = f"/run/systemd/system/jupyter-{STUDENT}.service.d"


def test_caps_lock_is_told_at_the_password(hub: Hub, driver: WebDriver) -> None:
    driver.get(hub.document["url"])
    password, note = wait(driver, "#password_input"), wait(driver, "#caps-lock")
    assert (note.text, note.get_attribute("role")) == ("", "status")
    driver.execute_script(TYPE_A, password, True)
    assert note.text == "Caps lock is on."
    shoot(driver, "caps-lock")
    driver.execute_script(TYPE_A, password, False)
    assert note.text == ""


@pytest.fixture
def lms(hub: Hub, tmp_path: Path) -> Iterator[Platform]:
    """An LMS on another site."""
    authority = Authority(tmp_path)
    with hub.elsewhere("lms") as (name, address):
        platform = Platform(name, address, LMS_PORT, authority.server_context(name), {})
        platform.start()
        yield platform
        platform.stop()


@pytest.mark.parametrize("path", ["", "hub/login", "hub/user-redirect/lab/tree/week1.ipynb", "hub/lti13/oauth_login"])
def test_frame_of_an_lms_leads_to_a_new_window(hub: Hub, lms: Platform, tmp_path: Path, path: str) -> None:
    """The frame shows only a link. In the new window the hub works."""
    with browser(hub, tmp_path, "frame", tmp_path / "root.pem") as driver:
        driver.get(lms.framed_page(hub.document["url"] + path))
        page = driver.current_window_handle
        driver.switch_to.frame(wait(driver, "iframe"))
        link = wait(driver, "a[target=_blank]")
        assert link.text == "Open it in a new window"
        shoot(driver, "frame")
        link.click()
        until(driver, lambda d: len(d.window_handles) == 2, "no new window")
        driver.switch_to.window(next(window for window in driver.window_handles if window != page))
        assert wait(driver, "#password_input").is_displayed()


@pytest.fixture
def slow_start(hub: Hub) -> Iterator[None]:
    """The student's server takes some seconds longer to start; afterwards it is stopped and starts as usual."""
    hub.run(
        f"mkdir -p {DROP_IN}; printf '[Service]\\nExecStartPre=/bin/sleep {SLOW_START}\\n' > {DROP_IN}/slow.conf; "
        "systemctl daemon-reload"
    )
    yield
    hub.run(f"rm -rf {DROP_IN}; systemctl daemon-reload")
    with hub.sandbox.client(hub.document, STUDENT) as student:
        student.stop_server()


@pytest.mark.usefixtures("slow_start")
def test_hub_killed_during_a_start_ends_in_lab(hub: Hub, driver: WebDriver) -> None:
    """The student clicks nothing: the page reloads once the hub is back, and the server starts again."""

    def waits(driver: WebDriver) -> bool:
        return "/spawn-pending/" in driver.current_url and bool(driver.find_elements("id", "progress-bar"))

    sign_in(driver, hub, STUDENT, f"{hub.document['url']}hub/home")
    press(driver, "#start")
    until(driver, waits, "no page that waits for the server")
    hub.run("systemctl kill --signal=KILL jupyterhub")
    assert hub.run(f"systemctl is-active jupyter-{STUDENT} || true").strip() != "active", "it was killed too late"
    wait(driver, ".jp-Launcher, .jp-DirListing", 180)
