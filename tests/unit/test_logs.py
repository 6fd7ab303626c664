"""``logs`` of one person's server, without a machine."""

from __future__ import annotations

from typing import Any

import pytest

from runner.project import Project

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("account", "says"), [("abelo", "did you mean abello?"), ("-u=ssh", "No such option"), ("x;id", "roster show phys")]
)
def test_logs_of_nobody(project: Project, coursehub: Any, account: str, says: str) -> None:
    """Text that is not an account of the course never reaches a shell."""
    del project
    ended = coursehub("logs", "phys", account)
    assert ended.code == 2
    assert says in ended.err
