"""For unit tests that put real things on this host: networks, groups, mounts, processes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import pytest

from runner import local

_REASON = local.why_unavailable()
#: Skips with one line where a local cloud could not run; CI is root, and its coverage counts these.
needs_root = pytest.mark.skipif(bool(_REASON), reason=_REASON or "")

T = TypeVar("T")


def eventually(what: Callable[[], T], seconds: float = 20.0) -> T:
    """What a call returns once that is true; fails when it is not within the time."""
    deadline = time.monotonic() + seconds
    while True:
        got = what()
        if got or time.monotonic() > deadline:
            assert got
            return got
        time.sleep(0.02)
