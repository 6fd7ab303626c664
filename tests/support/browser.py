"""A real browser without a screen, and the authorities that it trusts."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeVar

from selenium import webdriver
from selenium.common.exceptions import (
    ElementClickInterceptedException,
    ElementNotInteractableException,
    NoSuchElementException,
    StaleElementReferenceException,
    TimeoutException,
    WebDriverException,
)
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver as Driver
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support import expected_conditions as seen
from selenium.webdriver.support.ui import WebDriverWait

from runner.people.passwords import Passwords
from tests.support.firefox import firefox
from tests.support.hub import Hub
from tests.support.sandbox import REPO

ARTEFACTS = REPO / "artefacts"
T = TypeVar("T")
_NOT_YET = (
    ElementClickInterceptedException,
    ElementNotInteractableException,
    NoSuchElementException,
    StaleElementReferenceException,
)


def _trust(store: Path, authorities: Iterable[Path]) -> None:
    """Make a certificate store with only these authorities (PEM files)."""
    store.mkdir(parents=True)
    database = f"sql:{store}"
    subprocess.run(["certutil", "-N", "-d", database, "--empty-password"], check=True)
    for authority in authorities:
        subprocess.run(
            ["certutil", "-A", "-d", database, "-n", authority.name, "-t", "C,,", "-i", str(authority)], check=True
        )


@contextlib.contextmanager
def browser(hub: Hub, home: Path, name: str, *others: Path, kind: str = "chromium") -> Iterator[Driver]:
    """A browser without any sign-in, in a ``home`` without an earlier browser; ``kind`` is one of KINDS.

    It trusts what a person is told to trust, ``others`` (PEM files), and no other authority. It runs on a ``laptop``,
    because addresses that appear or disappear on this host, as when another test's local cloud starts, would abort its
    requests ("Chromium" in docs/decisions/local-cloud.md). A picture of the last page is kept under ``name``.
    """
    authorities = [Path(hub.document["ca_bundle"]), *others]
    with hub.laptop() as namespace, KINDS[kind](namespace, home, authorities) as driver:
        driver.set_page_load_timeout(120)
        try:
            yield driver
        finally:
            with contextlib.suppress(WebDriverException):
                shoot(driver, f"last-seen-{name}")


def _chromium(namespace: str, home: Path, authorities: Iterable[Path]) -> webdriver.Chrome:
    """A Chromium that runs in this network namespace; its driver runs outside."""
    _trust(home / ".pki" / "nssdb", authorities)
    program = home / "chromium"
    # Without the right to raise its own priority, as for anybody but root: it would take the processors from the hub.
    inside = f"nsenter --net=/run/netns/{namespace} setpriv --bounding-set=-sys_nice"
    program.write_text(f'#!/bin/sh\nexec {inside} /usr/bin/chromium "$@"\n')
    program.chmod(0o755)
    options = webdriver.ChromeOptions()
    options.binary_location = str(program)
    options.set_capability("goog:loggingPrefs", {"browser": "SEVERE"})
    for argument in (
        "--headless=new",
        # Chromium's port on localhost cannot be reached from outside the namespace, but a pipe can.
        "--remote-debugging-pipe",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
        "--window-size=1280,800",
        f"--user-data-dir={home / 'profile'}",
    ):
        options.add_argument(argument)
    service = webdriver.ChromeService("/usr/bin/chromedriver", env={**os.environ, "HOME": str(home)})
    return webdriver.Chrome(options=options, service=service)


def _firefox(namespace: str, home: Path, authorities: Iterable[Path]) -> AbstractContextManager[Driver]:
    """A Firefox in this network namespace; its driver runs outside."""
    _trust(home / "profile", authorities)
    return firefox(namespace, home / "profile")


#: The browsers for tests of the isolation between servers, which depends on the browser's behaviour.
KINDS: dict[str, Callable[[str, Path, Iterable[Path]], AbstractContextManager[Driver]]] = {
    "chromium": _chromium,
    "firefox": _firefox,
}


def wait(driver: Driver, css: str, seconds: int = 60) -> WebElement:
    """The first matching element, once there is one."""
    return until(driver, seen.presence_of_element_located((By.CSS_SELECTOR, css)), f"no {css}", seconds)


def press(driver: Driver, css: str) -> None:
    """Click the first matching element, once nothing covers it."""

    def pressed(driver: Driver) -> bool:
        driver.find_element(By.CSS_SELECTOR, css).click()
        return True

    until(driver, pressed, f"no {css} to click")


def until(driver: Driver, condition: Callable[[Any], T], otherwise: str, seconds: int = 60) -> T:
    """The first true value of ``condition``; ``otherwise`` describes what did not happen.

    The elements of the condition may be missing, covered, or just redrawn; then it is tried again.
    """
    last = ""

    def settled(driver: Driver) -> Any:
        nonlocal last
        try:
            return condition(driver)
        except _NOT_YET as error:
            last = error.msg or ""
            return None
        except WebDriverException as error:
            # The page changed while the driver looked at it; the next page may be the expected one.
            if "aborted by navigation" not in (error.msg or ""):
                raise
            return None

    try:
        return WebDriverWait(driver, seconds).until(settled)
    except TimeoutException as exc:
        # Selenium's own message is a stack of addresses.
        address, text, console = "", "", []
        with contextlib.suppress(WebDriverException):
            address = driver.current_url
            text = driver.execute_script("return document.body ? document.body.innerText : ''")
            # Only Chromium has a console that can be read.
            if isinstance(driver, webdriver.Chrome):
                console = [entry["message"] for entry in driver.get_log("browser")]
        last, _, _ = (exc.msg or last).partition("\n")
        raise AssertionError(
            f"{otherwise} in {seconds} s at {address}, which shows: {text[:600]!r}; "
            f"its console has {console[-10:]}; the driver said {last!r}"
        ) from exc


def shoot(driver: Driver, name: str) -> None:
    """Save a picture of the page."""
    ARTEFACTS.mkdir(exist_ok=True)
    driver.save_screenshot(str(ARTEFACTS / f"{name}.png"))


def sign_in(driver: Driver, hub: Hub, account: str, page: str = "") -> None:
    """Open the hub, or another ``page`` that leads to the sign-in; fill in the form and wait for the result."""
    driver.get(page or hub.document["url"])
    wait(driver, "#username_input").send_keys(account)
    password = Passwords(hub.sandbox.project, hub.course).read()[account].clear
    field = wait(driver, "#password_input")
    field.send_keys(password)
    shoot(driver, f"sign-in-{account}")
    field.send_keys(Keys.ENTER)
    until(driver, seen.staleness_of(field), "the form is still there")
