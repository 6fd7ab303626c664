"""A server that accepts the SSH connection and then sends nothing ends the wait with a line."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

from runner.errors import CoursehubError
from runner.saltssh import tail

pytestmark = pytest.mark.unit


def test_silent_server_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "FIRST_WORD_SECONDS", 0.3)
    access: Any = SimpleNamespace(course_id="phys", argv=lambda *_args, **_options: ["sleep", "60"])
    following = tail.Tail(access, "192.0.2.1", lambda _count, _total, _name: None)
    began = time.monotonic()
    try:
        with pytest.raises(
            CoursehubError, match=r"phys: the server at 192\.0\.2\.1 takes SSH connections but has said"
        ):
            following.found_nobody()
    finally:
        following.end()
    assert time.monotonic() - began < 20
