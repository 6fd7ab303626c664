"""Lab, also on a phone, says that an unused server stops soon, and its button keeps the server.

Run by `./coursehub test load -k note`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.support import expected_conditions as seen

from runner.hub.client import HubClient
from tests.browser.conftest import driver
from tests.support.browser import shoot, sign_in, until
from tests.support.hub import Hub

__all__ = ["driver"]
pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]

ASSISTANT = "okafor"
IDLE = "/etc/jupyter/class_idle.json"
#: Assistants' servers stop after so many seconds without use, as far as Lab knows.
SOON = 30


@pytest.fixture
def unused(hub: Hub) -> Iterator[HubClient]:
    """An assistant whose server stops soon without use, as far as Lab knows. The hub itself stops nothing."""
    known = json.loads(hub.run(f"cp -p {IDLE} {IDLE}.kept; cat {IDLE}"))
    known["groups"]["assistants"] = SOON
    hub.run(f"cat > {IDLE} << 'IDLE'\n{json.dumps(known)}\nIDLE\n")
    try:
        with hub.sandbox.client(hub.document, ASSISTANT) as client:
            client.start_server()
            yield client
            client.stop_server()
    finally:
        hub.run(f"mv {IDLE}.kept {IDLE}")


def still(driver: WebDriver) -> bool:
    """Whether the note has slid in."""
    before = driver.find_element(By.CSS_SELECTOR, ".Toastify__toast").rect
    time.sleep(1)
    return bool(driver.find_element(By.CSS_SELECTOR, ".Toastify__toast").rect == before)


@pytest.mark.parametrize(("page", "size"), [("lab", (1280, 900)), ("tree", (390, 844))], ids=["lab", "phone"])
def test_unused_server_is_told_and_kept(
    hub: Hub, unused: HubClient, driver: WebDriver, page: str, size: tuple[int, int]
) -> None:
    driver.set_window_size(*size)
    assert driver.execute_script("return window.innerWidth") == size[0], "the window is not so narrow"
    sign_in(driver, hub, ASSISTANT, f"{hub.document['url']}user/{ASSISTANT}/{page}")
    told = (By.CSS_SELECTOR, ".Toastify__toast")
    says = "Nobody uses this server, so it stops within minutes."
    until(driver, seen.text_to_be_present_in_element(told, says), "no note about the stop", 180)
    until(driver, still, "the note still moves", 30)
    shoot(driver, f"idle-{page}")
    (button,) = [one for one in driver.find_elements(By.TAG_NAME, "button") if one.text == "I am still here"]
    for whole in (driver.find_element(*told), button):
        place = whole.rect
        assert place["x"] >= 0
        assert place["x"] + place["width"] <= driver.execute_script("return window.innerWidth")
        assert place["y"] + place["height"] <= driver.execute_script("return window.innerHeight")
    button.click()
    until(driver, seen.invisibility_of_element_located(told), "the note stays", 30)
    assert json.loads(unused.get(f"/user/{ASSISTANT}/class/idle").text) == {"minutes": None}
