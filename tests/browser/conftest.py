"""A real Chromium that trusts the local cloud's test authority, and the hub of the machine tests."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from selenium import webdriver

from tests.support.hub import Hub
from tests.support.sandbox import REPO

ARTEFACTS = REPO / "artefacts"


@pytest.fixture(scope="session")
def browser_home(tmp_path_factory: pytest.TempPathFactory, hub: Hub) -> Path:
    """A home whose certificate store trusts what a person is told to trust, and nothing else."""
    home = tmp_path_factory.mktemp("browser")
    store = home / ".pki" / "nssdb"
    store.mkdir(parents=True)
    database = f"sql:{store}"
    subprocess.run(["certutil", "-N", "-d", database, "--empty-password"], check=True)
    subprocess.run(
        ["certutil", "-A", "-d", database, "-n", "coursehub", "-t", "C,,", "-i", hub.document["ca_bundle"]], check=True
    )
    return home


@pytest.fixture
def browse(
    browser_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], webdriver.Chrome]]:
    """Start browsers, each with an empty profile."""
    monkeypatch.setenv("HOME", str(browser_home))
    running: list[webdriver.Chrome] = []

    def start() -> webdriver.Chrome:
        options = webdriver.ChromeOptions()
        options.binary_location = "/usr/bin/chromium"
        for argument in (
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--window-size=1280,800",
            f"--user-data-dir={tmp_path / f'profile{len(running)}'}",
        ):
            options.add_argument(argument)
        driver = webdriver.Chrome(options=options, service=webdriver.ChromeService("/usr/bin/chromedriver"))
        driver.set_page_load_timeout(60)
        running.append(driver)
        return driver

    yield start
    for number, driver in enumerate(running):
        shoot(driver, f"last-seen-{number}")
        driver.quit()


def shoot(driver: webdriver.Chrome, name: str) -> None:
    """Keep a picture of what a person sees now."""
    ARTEFACTS.mkdir(exist_ok=True)
    driver.save_screenshot(str(ARTEFACTS / f"{name}.png"))
