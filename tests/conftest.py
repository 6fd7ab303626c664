"""Options and reasons to skip that all suites share."""

from __future__ import annotations

import os

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--keep", action="store_true", help="leave the machines of failed tests, and say how to get in")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs machines where there can be none, with one line of reason; CI must not skip."""
    wants_machine = [
        item for item in items if any(item.get_closest_marker(m) for m in ("machine", "kitchen", "browser"))
    ]
    if not wants_machine:
        return
    from runner import local

    reason = local.why_unavailable()
    if not reason:
        return
    if os.environ.get("CI"):
        raise pytest.UsageError(f"CI must run the machine tests, and cannot: {reason}")
    for item in wants_machine:
        item.add_marker(pytest.mark.skip(reason=reason))
