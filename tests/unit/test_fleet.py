"""Several courses at once: a row for each, and a failed one does not stop the others."""

from __future__ import annotations

import io
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from runner.board import Board
from runner.console import Steps
from runner.errors import CoursehubError
from runner.project import Project
from runner.saltssh.results import Report
from runner.session.failures import no_server
from runner.verbs import converge, look

pytestmark = pytest.mark.unit

COURSES = [f"c{number}" for number in range(10)]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def terminal() -> tuple[Steps, io.StringIO]:
    screen = io.StringIO()
    return Steps(Console(file=screen, force_terminal=True, width=100, highlight=False)), screen


def fake(monkeypatch: pytest.MonkeyPatch, seconds: float = 0.0) -> list[int]:
    """Courses whose apply takes ``seconds``; c3 fails, c5 has no server. Yields how many ran at most at a time."""
    running, most = [0], [0]
    lock = threading.Lock()

    def apply_one(_project: Any, course_id: str, steps: Steps, **_options: Any) -> Report:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        with steps.step("highstate", f"highstate of {course_id}") as progress:
            progress("state 1 of 2: [brackets]")
            time.sleep(seconds)
        with lock:
            running[0] -= 1
        if course_id == "c3":
            raise CoursehubError("c3: its server is on fire")
        if course_id == "c5":
            raise no_server(course_id)
        return Report([], [])

    monkeypatch.setattr(converge, "_apply_one", apply_one)
    return most


def test_ten_courses_run_at_once_and_one_failure_stops_none(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    most = fake(monkeypatch, 0.4)
    steps, screen = terminal()
    began = time.monotonic()
    with pytest.raises(CoursehubError, match="c3: its server is on fire") as caught:
        converge.apply(project, COURSES, steps, every=True)
    assert time.monotonic() - began < 3 * 0.4 + 2
    assert most == [10]
    outcomes = caught.value.document["courses"]
    assert list(outcomes) == COURSES
    assert [course_id for course_id, one in outcomes.items() if "error" in one] == ["c3"]
    assert [course_id for course_id, one in outcomes.items() if "skipped" in one] == ["c5"]
    shown = screen.getvalue()
    for word in ("COURSE", "nothing to change", "failed", "skipped: it has no server"):
        assert word in shown


def test_rows_show_what_each_course_does() -> None:
    steps, screen = terminal()
    with Board(steps, ["a", "b"]) as board:
        with board.row("a").step("highstate", "highstate of a") as progress:
            progress("state 3 of 9: [x]")
            time.sleep(0.6)
        board.row("a").say("  note: remember")
        board.end("a", "2 states changed")
    shown = screen.getvalue()
    for word in ("state 3 of 9: [x]", "a: note: remember", "2 states changed", "waiting for its turn"):
        assert word in shown


def test_one_course_has_no_table() -> None:
    steps, screen = terminal()
    with Board(steps, ["a"]) as board:
        assert board.row("a") is steps
        board.end("a", "done")
    assert "COURSE" not in screen.getvalue()


def test_without_a_terminal_steps_are_lines() -> None:
    text = io.StringIO()
    steps = Steps(Console(file=text, width=100))
    with Board(steps, ["a", "b"]) as board, board.row("b").step("x", "step of b"):
        pass
    assert text.getvalue().startswith("done   step of b")


def test_status_asks_all_at_once_and_in_order(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    barrier = threading.Barrier(len(COURSES), timeout=20)

    def status(_project: Any, course_id: str) -> dict[str, Any]:
        barrier.wait()
        if course_id == "c3":
            raise CoursehubError("c3: no answer")
        return {"course": course_id, "state": "active"}

    monkeypatch.setattr(look, "_status", status)
    with pytest.raises(CoursehubError, match="c3: no answer") as caught:
        look.status(project, COURSES)
    rows = caught.value.document["courses"]
    assert [row["course"] for row in rows] == COURSES
    assert [row["state"] for row in rows].count("active") == 9
