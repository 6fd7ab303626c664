"""What waits to be told to a student: until a page has shown it, and no longer."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

pytestmark = pytest.mark.unit
FILES = Path(__file__).parents[2] / "formulas/course_env/files"
LABS, OTHER = Path("/home/a/labs"), Path("/home/a/other")
ONE, TWO = {"kind": "kept", "path": "1"}, {"kind": "removed", "path": "2"}


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FILES))
    monkeypatch.setenv("HOME", str(tmp_path))
    from class_pull import notes

    return notes


def test_shown_until_the_next_pull(notes: ModuleType) -> None:
    notes.add(LABS, [ONE])
    assert notes.show(LABS) == notes.show(LABS) == [ONE]
    assert notes.show(OTHER) == []
    notes.forget_shown(LABS)
    assert notes.show(LABS) == []


def test_what_no_page_has_shown_waits(notes: ModuleType) -> None:
    notes.add(LABS, [ONE])
    for more in ([], [TWO], [ONE]):
        notes.forget_shown(LABS)
        notes.add(LABS, more)
    assert notes.show(LABS) == [ONE, TWO]


def test_a_page_that_is_shown_while_a_pull_runs_takes_nothing_of_it(notes: ModuleType) -> None:
    notes.add(LABS, [ONE])
    notes.forget_shown(LABS)
    assert notes.show(LABS) == [ONE]
    notes.add(LABS, [TWO])
    notes.forget_shown(LABS)
    assert notes.show(LABS) == [TWO]


def test_of_a_directory_that_begins_anew_nothing_is_told(notes: ModuleType) -> None:
    for home in (LABS, OTHER):
        notes.add(home, [ONE])
        notes.show(home)
        notes.add(home, [TWO])
    notes.forget(LABS)
    assert notes.show(LABS) == []
    assert notes.show(OTHER) == [ONE, TWO]


def test_a_server_that_ended_takes_nothing_with_it(notes: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = {"kind": "kept", "path": "caf\udce9.py", "beside": "Zoë.py"}
    notes.add(LABS, [odd])
    monkeypatch.delitem(sys.modules, "class_pull.notes")
    from class_pull import notes as again

    assert again.show(LABS) == [odd]


def test_a_file_that_is_damaged_holds_nobody_up(notes: ModuleType, tmp_path: Path) -> None:
    notes.add(LABS, [ONE])
    (tmp_path / ".local/share/class_pull.json").write_text('{"/home')
    notes.add(LABS, [TWO])
    assert notes.show(LABS) == [TWO]
