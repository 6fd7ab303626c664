"""Whose server is stopped when others wait for memory: never one that somebody uses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.loading import load
from tests.support.sandbox import REPO

pytestmark = pytest.mark.unit

idle = load(REPO / "formulas/jupyterhub/files/class_inside/idle.py")
NOW = datetime(2026, 11, 30, 17, tzinfo=UTC)
LATER = NOW + timedelta(seconds=idle.SETTLE)


def ago(minutes: float) -> datetime:
    """A time as the hub's database has it."""
    return (NOW - timedelta(minutes=minutes)).replace(tzinfo=None)


def server(
    name: str, unused: float, *, started: float = 300, ready: bool = True, group: str = "students", early: bool = False
) -> Any:
    """A server that was last used so many minutes ago."""
    row = SimpleNamespace(last_activity=ago(unused), started=ago(started))
    options = {idle.EARLY: (NOW - timedelta(minutes=started, seconds=2)).timestamp()} if early else {}
    user = SimpleNamespace(name=name, groups=[SimpleNamespace(name=group)])
    return SimpleNamespace(user=user, ready=ready, orm_spawner=row, user_options=options, cpu=10.0, up=0.0)


def unused() -> Any:
    return idle.Unused(1800, ["instructors"], lambda one: one.cpu)


def name_of(found: Any) -> str | None:
    return found and str(found.user.name)


@pytest.mark.parametrize(
    ("servers", "whose"),
    [
        ([server("works", 1), server("away", 31), server("long", 90)], "long"),
        ([server("works", 1), server("reads", 27)], None),
        ([server("starts", 90, ready=False)], None),
        ([server("rivera", 90, group="instructors")], None),
        # Started before the class, and nobody came: first, and long before half an hour.
        ([server("long", 90), server("absent", 9, started=9, early=True)], "absent"),
        ([server("came", 1, started=9, early=True)], None),
        # The hub keeps the option; this server was started later by its owner.
        ([SimpleNamespace(**vars(server("own", 5, started=5)) | {"user_options": {idle.EARLY: 1.0}})], None),
        ([SimpleNamespace(**vars(server("gone", 90)) | {"orm_spawner": None})], None),
        ([], None),
    ],
    ids=["longest", "nobody", "starting", "teacher", "early", "early-used", "own-start", "no-row", "none"],
)
def test_unused_server_is_found_after_a_second_look(servers: list[Any], whose: str | None) -> None:
    look = unused()
    assert look.find(servers, NOW) is None, "it may be used since its last report"
    assert name_of(look.find(servers, LATER)) == whose


def test_who_comes_back_keeps_the_server() -> None:
    look, one = unused(), server("back", 40)
    assert look.find([one], NOW) is None
    one.orm_spawner.last_activity = NOW.replace(tzinfo=None)
    assert look.find([one], LATER) is None


def test_a_computing_terminal_keeps_the_server() -> None:
    look, one = unused(), server("computes", 40)
    assert look.find([one], NOW) is None
    one.cpu += idle.SETTLE
    assert look.find([one], LATER) is None
    assert name_of(look.find([one], LATER + timedelta(seconds=idle.SETTLE))) == "computes", "it has ended"


def test_one_is_stopped_at_a_time() -> None:
    look, servers = unused(), [server("a", 90), server("b", 80)]
    look.find(servers, NOW)
    assert name_of(look.find(servers, LATER)) == "a"
    assert look.find(servers[1:], LATER + timedelta(seconds=2)) is None
    assert name_of(look.find(servers[1:], LATER + timedelta(seconds=11))) == "b"


@pytest.mark.parametrize(
    "asked",
    [10**400, float("nan"), float("inf"), True, "now", [1], None],
    ids=["huge", "nan", "inf", "true", "text", "list", "none"],
)
def test_what_is_no_time_hides_nobody(asked: Any) -> None:
    """The hub's database may have options that are not ours."""
    odd = server("odd", 1)
    odd.user_options = {idle.EARLY: asked}
    look, servers = unused(), [odd, server("long", 90)]
    look.find(servers, NOW)
    assert name_of(look.find(servers, LATER)) == "long"


@pytest.mark.parametrize("mounted", ["", "unified"], ids=["cgroup2", "both"])
def test_cpu_seconds_of_both_cgroup_versions(tmp_path: Path, mounted: str) -> None:
    assert idle.cpu_seconds("class.slice", "jupyter-ada", tmp_path) is None
    file = tmp_path / mounted / "class.slice/jupyter-ada.service/cpu.stat"
    file.parent.mkdir(parents=True)
    file.write_text("usage_usec 2500000\nuser_usec 1\n")
    assert idle.cpu_seconds("class.slice", "jupyter-ada", tmp_path) == 2.5
