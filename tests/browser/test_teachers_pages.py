"""What a professor and an assistant see and press on the admin page and on "Students' work", with a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver

from tests.support.browser import browser, press, shoot, sign_in, until, wait
from tests.support.hub import Hub

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

STUDENT, NAME, PROFESSOR, ASSISTANT, CHECK = "gkim", "Grace Kim", "rivera", "okafor", "coursehub-check"
ROW = f"[data-testid='user-row-{STUDENT}']"
#: Buttons for actions that are refused here or do not exist.
DEAD = {"Shutdown Hub", "Add Users", "Manage Groups", "Spawn Page", "Edit User", "Delete Server"}
PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}


@pytest.fixture(scope="module")
def running(hub: Hub) -> Iterator[None]:
    """The student has a server, and the hub knows the account of `coursehub check`."""
    with hub.sandbox.client(hub.document, STUDENT) as student:
        student.start_server()
        known = hub.run(
            "python3 -c 'import sqlite3; "
            'print(*sqlite3.connect("/srv/jupyterhub/jupyterhub.sqlite").execute("select name from users"))\''
        )
        assert CHECK in known
        yield
        student.stop_server()


def buttons(driver: WebDriver) -> set[str]:
    """The text of all visible buttons of the page."""
    return {button.text for button in driver.find_elements(By.TAG_NAME, "button") if button.is_displayed()} - {""}


def open_admin(driver: WebDriver, hub: Hub) -> None:
    driver.get(f"{hub.document['url']}hub/admin")
    wait(driver, ROW)
    # The student's server is on; its button can come after the row.
    until(driver, lambda d: "Access Server" in buttons(d), "no button of a server")


def runs(hub: Hub) -> bool:
    return hub.run(f"systemctl is-active jupyter-{STUDENT} || true").strip() == "active"


def look_on_a_phone(driver: WebDriver, name: str) -> None:
    """Show the page on a small screen and save a picture: nothing may be beyond the right edge."""
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", PHONE)
    shoot(driver, name)
    beyond = "[...document.querySelectorAll('button, a, td')].filter(e => e.getBoundingClientRect().right > innerWidth)"
    assert driver.execute_script(f"return {beyond}") == []
    driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.usefixtures("running")
def test_admin_page_has_no_dead_button_and_asks(hub: Hub, tmp_path: Path) -> None:
    """A button that stops servers asks first; answering no stops nothing."""
    with browser(hub, tmp_path, "admin-professor") as driver:
        sign_in(driver, hub, PROFESSOR)
        open_admin(driver, hub)
        shoot(driver, "admin-professor")
        assert not buttons(driver) & DEAD
        assert {"Start All", "Stop All", "Stop Server", "Access Server"} <= buttons(driver)
        people = [one.text for one in driver.find_elements(By.CSS_SELECTOR, "[data-testid^=user-name-div-]")]
        assert STUDENT in people
        # Only people on whose servers the buttons work.
        assert not {CHECK, PROFESSOR, ASSISTANT} & set(people)
        look_on_a_phone(driver, "admin-phone")
        for css, asked in ((".stop-all", " on this page?"), (f"{ROW} .stop-button", f"of {STUDENT}?")):
            press(driver, css)
            question = driver.switch_to.alert
            assert asked in question.text
            question.dismiss()
        driver.refresh()
        wait(driver, f"{ROW} .stop-button")
        assert runs(hub)
        press(driver, ".stop-all")
        driver.switch_to.alert.accept()
        wait(driver, f"{ROW} .start-button")
        assert not runs(hub)


@pytest.mark.usefixtures("running")
def test_assistant_sees_only_buttons_that_work(hub: Hub, tmp_path: Path) -> None:
    with hub.sandbox.client(hub.document, STUDENT) as student:
        student.start_server()
    with browser(hub, tmp_path, "admin-assistant") as driver:
        sign_in(driver, hub, ASSISTANT)
        open_admin(driver, hub)
        shoot(driver, "admin-assistant")
        assert not buttons(driver) & {*DEAD, "Start All", "Stop All", "Start Server", "Stop Server"}
        assert "Access Server" in buttons(driver)


@pytest.mark.usefixtures("running")
def test_students_work_shows_names(hub: Hub, tmp_path: Path) -> None:
    """Names are shown beside accounts, and a student's own files above those of programs."""
    hub.run(f"runuser -u {STUDENT} -- sh -c 'cd && mkdir -p .zzz lab1 && touch .hidden report.txt'")
    with browser(hub, tmp_path, "work") as driver:
        sign_in(driver, hub, ASSISTANT, f"{hub.document['url']}services/students-work/")
        entry = wait(driver, f"a[href$='/of/{STUDENT}/']").find_element(By.XPATH, "..")
        assert entry.text.split() == [STUDENT, *NAME.split()]
        assert CHECK not in driver.page_source
        look_on_a_phone(driver, "work-people-phone")
        press(driver, f"a[href$='/of/{STUDENT}/']")
        until(driver, lambda d: d.find_element(By.TAG_NAME, "h1").text == f"{NAME} ({STUDENT})", "no name")
        look_on_a_phone(driver, "work-files-phone")
        names = [row.text for row in driver.find_elements(By.CSS_SELECTOR, "td:first-child")]
        made = [name for name in names if not name.startswith(".")]
        assert names[: len(made)] == made
        assert made.index("lab1/") < made.index("report.txt")
        assert {".zzz/", ".hidden"} <= set(names)


def test_names_stay_with_teachers(hub: Hub) -> None:
    """A student cannot read a name of the class anywhere on the server, and no log contains one."""
    hub.run(f"! runuser -u {STUDENT} -- cat /etc/jupyterhub/names.json 2> /dev/null")
    assert hub.run("stat -c '%a %U' /etc/jupyterhub /etc/jupyterhub/names.json").split() == [
        "700",
        "root",
        "600",
        "root",
    ]
    places = "/etc /srv /home /var/lib/coursehub* /var/log /run /tmp"
    found = hub.run(
        f"grep -rlsF 'Grace Kim' {places} 2> /dev/null; journalctl -o cat --no-pager | grep -cF 'Grace Kim'; true"
    )
    assert found.split() == ["/etc/jupyterhub/names.json", "0"]
