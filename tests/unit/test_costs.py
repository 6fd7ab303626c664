"""The price is shown before a server is made, and for all present servers."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from runner.cloud import Size
from runner.cloud.costs import cost_of
from runner.course import Term
from runner.project import Project
from tests.support.local_api import Api

pytestmark = pytest.mark.unit

SIZE = Size("s-4vcpu-8gb", 48.0, 0.07143, ("sfo3",), 8192, 4)


def add_term(project: Project) -> None:
    path = project.course_file("phys")
    text = path.read_text(encoding="utf-8")
    term = "course:\n  term:\n    first: 2026-09-21\n    last: '2026-12-11'\n"
    path.write_text(text.replace("course:\n", term, 1), encoding="utf-8")


def test_cost_of_a_term_counts_each_month() -> None:
    """Whole months cost the monthly price, parts of a month their hours."""
    term = Term(first=datetime.date(2026, 9, 21), last=datetime.date(2026, 12, 11))
    cost = cost_of(SIZE, term)
    assert cost.term == pytest.approx(10 * 24 * 0.07143 + 48 + 48 + 11 * 24 * 0.07143)
    assert cost.line() == "0.071 dollars an hour, 48 a month, 132 for the term"
    assert cost_of(SIZE, None).line() == "0.071 dollars an hour, 48 a month"


def test_cost_is_asked_before_anything_is_made(coursehub: Any, api: Api, project: Project) -> None:
    add_term(project)
    ended = coursehub("up", "phys")
    assert ended.code == 2
    assert ended.line == "coursehub: up costs money; say 'coursehub up phys --yes'"
    assert "costs 0.071 dollars an hour, 48 a month, 132 for the term, until 'down'" in ended.err
    assert api.ok("GET", "droplets")["droplets"] == []
    assert api.ok("GET", "account/keys")["ssh_keys"] == []


def test_cost_is_not_asked_again_for_what_is_there(coursehub: Any, api: Api) -> None:
    del api
    coursehub("up", "phys", "--yes")
    again = coursehub("up", "phys")
    assert "SSH on" in again.line
    assert "dollars" not in again.err


def test_plan_without_a_server_says_what_up_makes(coursehub: Any, api: Api) -> None:
    ended = coursehub("plan", "phys")
    assert ended.code == 0
    assert "phys: up makes s-4vcpu-8gb with debian-13-x64 in sfo3" in ended.out
    assert "48 a month, until 'down'" in ended.out
    assert api.ok("GET", "droplets")["droplets"] == []


def test_status_says_what_each_server_costs(coursehub: Any, api: Api, project: Project) -> None:
    del api
    assert "costs" not in coursehub("status").out
    add_term(project)
    coursehub("up", "phys", "--yes")
    assert "phys costs 0.071 dollars an hour, 48 a month, 132 for the term" in coursehub("status").out
    assert coursehub("status", "--json").document["courses"][0]["cost"]["month"] == pytest.approx(48.0)


@pytest.mark.parametrize(
    ("first", "says"), [("2026-12-24", "the term ends before it begins"), ("21.9.2026", "a day such as 2026-09-21")]
)
def test_term_that_is_none_is_refused_with_its_line(coursehub: Any, project: Project, first: str, says: str) -> None:
    add_term(project)
    path = project.course_file("phys")
    path.write_text(path.read_text(encoding="utf-8").replace("2026-09-21", first), encoding="utf-8")
    ended = coursehub("validate", "phys")
    assert ended.code == 2
    assert says in ended.out + ended.err
