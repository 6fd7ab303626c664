"""A browser for the hub of the machine tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver

from tests.support.browser import browser
from tests.support.hub import Hub


@pytest.fixture
def driver(hub: Hub, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[webdriver.Chrome]:
    """A browser that trusts only what a person is told to trust."""
    with browser(hub, tmp_path, request.node.name) as driver:
        yield driver
