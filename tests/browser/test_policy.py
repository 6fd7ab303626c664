"""Our own pages, and Lab, work under the policies that they are served with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from selenium import webdriver

from tests.browser.test_browser import NOTEBOOK, menu, wait_for_kernel
from tests.support.browser import browser, press, sign_in, until, wait
from tests.support.hub import Hub

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

PROFESSOR = "rivera"


def test_lesson_breaks_no_policy(hub: Hub, tmp_path: Path) -> None:
    """Sign-in, start, Lab, cells with a plot, terminal, home, admin page, "Students' work": the console stays empty."""
    url, broken = hub.document["url"], []

    def look(driver: webdriver.Chrome) -> None:
        broken.extend(entry["message"] for entry in driver.get_log("browser") if "Security Policy" in entry["message"])

    with hub.sandbox.client(hub.document, PROFESSOR) as material:
        material.start_server()
        content = {"type": "notebook", "format": "json", "content": NOTEBOOK}
        material.api("PUT", "/api/contents/lab1.ipynb", json=content)
        material.stop_server()
    with browser(hub, tmp_path, "policy") as driver:
        sign_in(driver, hub, PROFESSOR, f"{url}hub/home")
        wait(driver, "#start")
        look(driver)
        press(driver, "#start")
        wait(driver, ".jp-Launcher, .jp-DirListing, .jp-Notebook", 120)
        look(driver)
        driver.get(f"{url}user/{PROFESSOR}/lab/tree/lab1.ipynb")
        wait(driver, ".jp-Notebook .jp-CodeCell", 120)
        wait_for_kernel(driver)
        menu(driver, "Run", "Run All Cells")
        plot = "return document.querySelector('.jp-OutputArea-output img')?.naturalWidth > 200"
        until(driver, lambda d: d.execute_script(plot), "no plot", 120)
        look(driver)
        driver.get(f"{url}user/{PROFESSOR}/lab?reset")
        press(driver, ".jp-LauncherCard[title*='terminal']")
        wait(driver, ".jp-Terminal .xterm", 60)
        look(driver)
        for page, there in (("hub/admin", "table"), ("services/students-work/", "a[href$='/of/gkim/']")):
            driver.get(url + page)
            wait(driver, there)
            look(driver)
    assert broken == [], json.dumps(broken, indent=1)
