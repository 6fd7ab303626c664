"""Messages for a student are kept until a page has shown them, and no longer."""

from __future__ import annotations

import importlib
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
    notes.begin(LABS)
    assert notes.show(LABS) == []


def test_what_no_page_has_shown_waits(notes: ModuleType) -> None:
    notes.add(LABS, [ONE])
    for more in ([], [TWO]):
        notes.begin(LABS)
        notes.add(LABS, more)
    assert notes.show(LABS) == [ONE, TWO]


def test_page_shown_during_a_pull_takes_none_of_its_notes(notes: ModuleType) -> None:
    notes.add(LABS, [ONE])
    notes.begin(LABS)
    assert notes.show(LABS) == [ONE]
    notes.add(LABS, [TWO])
    notes.begin(LABS)
    assert notes.show(LABS) == [TWO]


def test_notes_of_a_replaced_directory_are_dropped(notes: ModuleType) -> None:
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
    again = importlib.import_module("class_pull.notes")
    assert again is not notes
    assert again.show(LABS) == [odd]


@pytest.mark.parametrize("text", ['{"/home', "null", "[]", '{"/h": []}', '{"/h": {"waiting": [1]}}', "\xff"])
def test_a_file_that_is_damaged_holds_nobody_up(notes: ModuleType, tmp_path: Path, text: str) -> None:
    notes.add(LABS, [ONE])
    (tmp_path / ".local/share/class_pull.json").write_text(text, encoding="latin-1")
    notes.begin(LABS)
    notes.add(LABS, [TWO])
    assert notes.show(LABS) == [TWO]


def test_notes_are_kept_in_memory_if_nothing_can_be_written(notes: ModuleType, tmp_path: Path) -> None:
    (tmp_path / ".local").write_text("a student's own\n")
    notes.begin(LABS)
    notes.add(LABS, [ONE])
    notes.add(OTHER, [TWO])
    assert notes.show(LABS) == [ONE]
    notes.begin(LABS)
    assert notes.show(LABS) == []
    (tmp_path / ".local").unlink()
    assert notes.show(OTHER) == [TWO]
    assert "2" in (tmp_path / ".local/share/class_pull.json").read_text()


def test_a_directory_has_one_name(notes: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "labs").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "labs")
    notes.add(tmp_path / "link", [ONE])
    assert notes.show(tmp_path / "labs") == [ONE]


def test_ownership_of_a_folder_is_checked_each_time(notes: ModuleType) -> None:
    own = {"kind": "own", "path": "labs"}
    for _ in range(2):
        notes.begin(LABS)
        notes.add(LABS, [own])
    notes.add(LABS, [ONE])
    notes.begin(LABS)
    assert notes.show(LABS) == [ONE]
