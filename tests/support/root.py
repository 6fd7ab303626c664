"""For unit tests that create real objects on this host: networks, groups, mounts, processes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TypeVar

import pytest

from runner import local

T = TypeVar("T")


def need_root() -> None:
    """Skip the calling module, with one line, if no local cloud can run here. In CI its tests fail instead."""
    reason = local.why_unavailable()
    if reason and not os.environ.get("CI"):
        pytest.skip(reason, allow_module_level=True)


def eventually(what: Callable[[], T], seconds: float = 20.0) -> T:
    """The first true result of a call; fails if there is none in time."""
    deadline = time.monotonic() + seconds
    while True:
        got = what()
        if got or time.monotonic() > deadline:
            assert got
            return got
        time.sleep(0.02)
