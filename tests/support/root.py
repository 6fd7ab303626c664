"""For unit tests that put real things on this host: networks, groups, mounts, processes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TypeVar

import pytest

from runner import local

T = TypeVar("T")


def need_root() -> None:
    """Called by a module: skips it, with one line, where a local cloud could not run. In CI its tests fail instead."""
    reason = local.why_unavailable()
    if reason and not os.environ.get("CI"):
        pytest.skip(reason, allow_module_level=True)


def eventually(what: Callable[[], T], seconds: float = 20.0) -> T:
    """What a call returns once that is true; fails when it is not within the time."""
    deadline = time.monotonic() + seconds
    while True:
        got = what()
        if got or time.monotonic() > deadline:
            assert got
            return got
        time.sleep(0.02)
