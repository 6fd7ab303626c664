"""A student's hour and a professor's view, with a real browser."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support import expected_conditions as seen

from tests.support.browser import press, shoot, sign_in, until, wait
from tests.support.hub import Hub

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

STUDENT, PROFESSOR = "gkim", "rivera"
UPLOAD = 20 * 1024 * 1024

NOTEBOOK = {
    "nbformat": 4,
    "nbformat_minor": 5,
    "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    "cells": [
        {"cell_type": "markdown", "id": "m1", "metadata": {}, "source": "# Lab 1: a falling ball"},
        {
            "cell_type": "code",
            "id": "c1",
            "metadata": {},
            "execution_count": None,
            "outputs": [],
            "source": "import numpy as np\nimport matplotlib.pyplot as plt\nt = np.linspace(0, 2, 50)",
        },
        {
            "cell_type": "code",
            "id": "c2",
            "metadata": {},
            "execution_count": None,
            "outputs": [],
            "source": "plt.plot(t, 20 - 0.5 * 9.81 * t**2)\nplt.xlabel('time in s')\nplt.ylabel('height in m');",
        },
        {
            "cell_type": "code",
            "id": "c3",
            "metadata": {},
            "execution_count": None,
            "outputs": [],
            "source": "print('computed', 5 * 4)",
        },
    ],
}


def answer(driver: webdriver.Chrome, asked: set[str]) -> None:
    """Accept Lab's dialog and add its text to ``asked``.

    On a busy computer it asks for the kernel if a notebook opens before the list of kernels has loaded.
    """
    for dialog in driver.find_elements(By.CSS_SELECTOR, ".jp-Dialog"):
        asked.add(dialog.text)
        for accept in dialog.find_elements(By.CSS_SELECTOR, ".jp-mod-accept"):
            accept.click()


def wait_for_kernel(driver: webdriver.Chrome) -> None:
    """Wait until the status bar has a kernel: without one the notebook's own indicator is "idle", and "Run" does
    nothing.
    """

    def idle(_: webdriver.Chrome) -> bool:
        answer(driver, set())
        return "Python 3 (ipykernel) | Idle" in driver.find_element(By.ID, "jp-main-statusbar").text

    until(driver, idle, "no idle kernel", 120)


def menu(driver: webdriver.Chrome, title: str, entry: str) -> None:
    """Click an entry of JupyterLab's menu bar, after answering Lab's dialogs."""

    def chosen(_: webdriver.Chrome) -> bool:
        answer(driver, set())
        entries = driver.find_elements(By.CSS_SELECTOR, ".lm-Menu-itemLabel")
        # A second click on the bar would close the menu.
        wanted = entry if entries else title
        for label in entries or driver.find_elements(By.CSS_SELECTOR, ".lm-MenuBar-itemLabel"):
            if label.text == wanted:
                label.click()
                return wanted == entry
        return False

    until(driver, chosen, f"no {title} > {entry}")


def test_who_cannot_get_in_sees_whom_to_ask_without_scrolling(hub: Hub, driver: webdriver.Chrome) -> None:
    driver.get(hub.document["url"])
    line = wait(driver, "#course-help")
    assert driver.execute_script("return arguments[0].getBoundingClientRect().bottom < innerHeight", line)


#: Sends requests to the hub continuously, and counts answers and failures.
ASK_ALL_THE_TIME = """
window.answers = 0; window.lost = [];
const answered = () => { answers++; }, was_lost = why => { lost.push(String(why)); };
const ask = () => fetch('/hub/api/').then(got => got.text()).then(answered, was_lost).then(ask);
for (let beside = 0; beside < 4; beside++) { ask(); }
"""


def test_browser_ignores_what_starts_on_this_computer(hub: Hub, driver: webdriver.Chrome) -> None:
    driver.get(hub.document["url"])
    driver.execute_script(ASK_ALL_THE_TIME)

    def asked_on() -> None:
        """Wait for eight more answers; at most four requests had started before."""
        eight_more = driver.execute_script("return answers") + 8
        enough = "return lost.length || answers >= arguments[0]"
        until(driver, lambda d: d.execute_script(enough, eight_more), "no answers")

    for _ in range(3):
        with hub.new_address():
            asked_on()
        asked_on()
    assert driver.execute_script("return lost") == []


def test_a_students_hour(hub: Hub, driver: webdriver.Chrome, tmp_path: Path) -> None:
    with hub.sandbox.client(hub.document, STUDENT) as material:
        material.start_server()
        material.api(
            "PUT", "/api/contents/lab1.ipynb", json={"type": "notebook", "format": "json", "content": NOTEBOOK}
        )

    sign_in(driver, hub, STUDENT)
    wait(driver, ".jp-Launcher, .jp-DirListing", 120)
    driver.get(f"{hub.document['url']}user/{STUDENT}/lab/tree/lab1.ipynb")
    wait(driver, ".jp-Notebook .jp-CodeCell", 120)
    wait_for_kernel(driver)
    menu(driver, "Run", "Run All Cells")
    plot = "document.querySelector('.jp-OutputArea-output img')"
    until(driver, lambda d: d.execute_script(f"return {plot}?.naturalWidth > 200"), "no plot", 120)
    computed = seen.text_to_be_present_in_element((By.CSS_SELECTOR, ".jp-Notebook"), "computed 20")
    until(driver, computed, "nothing computed")
    driver.execute_script(f"{plot}?.scrollIntoView({{block: 'center'}})")
    shoot(driver, "hub")

    big = tmp_path / "measurements.bin"
    big.write_bytes(b"\x5a" * UPLOAD)
    # Lab's uploader creates its file input only when it is clicked, so the click is intercepted and the input filled.
    driver.execute_script("""
        const click = HTMLInputElement.prototype.click;
        HTMLInputElement.prototype.click = function () {
            if (this.type !== 'file') { return click.call(this); }
            this.id = 'upload-for-test'; this.style.display = 'block'; document.body.append(this);
        };
    """)
    press(driver, "jp-button[title='Upload Files']")
    wait(driver, "#upload-for-test").send_keys(str(big))
    asked: set[str] = set()

    def arrived(_: webdriver.Chrome) -> bool:
        answer(driver, asked)
        return hub.run(f"stat -c %s /home/{STUDENT}/measurements.bin 2>/dev/null || true").strip() == str(UPLOAD)

    try:
        until(driver, arrived, "no upload", 120)
    except AssertionError as why:
        pytest.fail(f"{why}; there is {hub.run(f'ls -l /home/{STUDENT}')}; Lab asked {asked}")
    # Lab asks before it uploads more than 15 MB.
    assert any("file size" in text for text in asked), asked

    driver.get(f"{hub.document['url']}hub/logout")
    press(driver, "#sign-out")
    wait(driver, "#username_input")
    driver.get(f"{hub.document['url']}user/{STUDENT}/lab")
    wait(driver, "#username_input")


def test_the_professor_sees_who_is_there(hub: Hub, driver: webdriver.Chrome) -> None:
    sign_in(driver, hub, PROFESSOR)
    driver.get(f"{hub.document['url']}hub/admin")
    until(driver, lambda d: STUDENT in d.page_source, "the student is not there")
    shoot(driver, "admin")


#: What a page of a student's server may try if it has the same origin as the page that it opens.
OPEN_AND_LOOK = """
const [address, done] = arguments, opened = window.open(address), began = Date.now();
const look = setInterval(() => {
    const shut = opened.closed, waited = Date.now() - began > 15000;
    if (shut || waited) { clearInterval(look); done(shut ? "shut" : opened.document.title); }
}, 200);
"""


def test_a_page_that_opens_students_work_does_not_see_it(hub: Hub, driver: webdriver.Chrome) -> None:
    sign_in(driver, hub, PROFESSOR, f"{hub.document['url']}hub/spawn")
    # A page of a server: it may run a student's code, and on one domain it is not isolated from the hub's own pages.
    wait(driver, ".jp-Launcher, .jp-DirListing", 120)
    page = driver.current_window_handle
    address = f"{hub.document['url']}services/students-work/"
    assert driver.execute_async_script(OPEN_AND_LOOK, address) == "shut"
    (opened,) = set(driver.window_handles) - {page}
    driver.switch_to.window(opened)
    # The professor sees it.
    assert wait(driver, f'a[href$="/of/{STUDENT}/"]')
    shoot(driver, "students-work")


def test_a_student_has_no_admin_page(hub: Hub, driver: webdriver.Chrome) -> None:
    sign_in(driver, hub, STUDENT)
    driver.get(f"{hub.document['url']}hub/admin")
    assert "403" in driver.page_source
    assert json.dumps(PROFESSOR) not in driver.page_source
