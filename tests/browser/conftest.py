"""A browser for the hub of the machine tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver

from tests.support.browser import browser, trust
from tests.support.hub import Hub


@pytest.fixture(scope="session")
def browser_home(tmp_path_factory: pytest.TempPathFactory, hub: Hub) -> Path:
    """A home whose certificate store trusts what a person is told to trust, and nothing else."""
    home = tmp_path_factory.mktemp("browser")
    trust(home, [Path(hub.document["ca_bundle"])])
    return home


@pytest.fixture
def driver(browser_home: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[webdriver.Chrome]:
    """A browser of a person who is nowhere signed in."""
    with browser(tmp_path / "profile", browser_home, request.node.name) as driver:
        yield driver
