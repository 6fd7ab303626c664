"""Whose server is stopped when others wait for memory: never one that somebody uses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.loading import load
from tests.support.sandbox import REPO

pytestmark = pytest.mark.unit

idle = load(REPO / "formulas/jupyterhub/files/class_inside/idle.py")
NOW = datetime(2026, 11, 30, 17, tzinfo=UTC)


def server(name: str, minutes: float | None, *, ready: bool = True, started: float | None = None) -> Any:
    def ago(one: float | None) -> datetime | None:
        return None if one is None else (NOW - timedelta(minutes=one)).replace(tzinfo=None)

    row = SimpleNamespace(last_activity=ago(minutes), started=ago(started))
    return SimpleNamespace(name=name, ready=ready, orm_spawner=row)


@pytest.mark.parametrize(
    ("servers", "whose"),
    [
        ([server("works", 1), server("away", 31), server("long", 90)], "long"),
        ([server("works", 1), server("reads", 29)], None),
        ([server("starts", 90, ready=False)], None),
        ([server("never", None, started=40), server("away", 31)], "never"),
        ([server("unknown", None)], None),
        ([SimpleNamespace(ready=True, orm_spawner=None)], None),
        ([], None),
    ],
    ids=["longest", "nobody", "starting", "never-used", "unknown", "no-row", "none"],
)
def test_longest_unused_server_is_found(servers: list[Any], whose: str | None) -> None:
    found = idle.longest_idle(servers, 1800, NOW)
    assert (found and found.name) == whose
