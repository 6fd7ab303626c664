"""Fixtures of the load tests alone."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def own_hub(request: pytest.FixtureRequest) -> None:
    """For tests that change the course: with --hub that is a teacher's own file, so they refuse."""
    if request.config.getoption("--hub"):
        pytest.skip("this test changes the course's files, so it needs a hub of its own: leave out --hub")
