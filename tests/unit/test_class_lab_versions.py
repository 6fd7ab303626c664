"""The page of earlier versions: what it finds, what it puts back, and that no path leads out of the home."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.support.loading import load

pytestmark = pytest.mark.unit
LAB = Path(__file__).parents[2] / "formulas/course_env/files/class_lab"
versions, disk = load(LAB / "past.py"), load(LAB / "space.py")

FIRST, SECOND = "2026-11-29 09.00 Sunday", "2026-11-30 09.00 Monday"


@pytest.fixture
def past(tmp_path: Path) -> Any:
    home, earlier = tmp_path / "home", tmp_path / "earlier"
    for moment, words in ((FIRST, "one"), (SECOND, "two")):
        (earlier / moment / "labs").mkdir(parents=True)
        (earlier / moment / "labs/lab1.txt").write_text(words)
    (earlier / SECOND / "labs/gone.txt").write_text("gone")
    (home / "labs").mkdir(parents=True)
    (home / "labs/lab1.txt").write_text("")
    return versions.Past(home, earlier)


def test_versions_of_what_is_deleted_are_listed(past: Any) -> None:
    assert past.names(["labs"]) == [("gone.txt", False), ("lab1.txt", True)]
    assert [moment for moment, _ in past.of(["labs", "lab1.txt"])] == [SECOND, FIRST]
    assert [moment for moment, _ in past.of(["labs", "gone.txt"])] == [SECOND]


def test_versions_that_are_the_same_are_listed_once(past: Any) -> None:
    """A version of an hour in which a file did not change says nothing new about it."""
    one, two = (past.earlier / moment / "labs/lab1.txt" for moment in (FIRST, SECOND))
    two.unlink()
    os.link(one, two)
    assert [moment for moment, _ in past.of(["labs", "lab1.txt"])] == [FIRST]


def test_versions_are_put_back_beside_what_is_there(past: Any) -> None:
    assert past.put_back(["labs", "gone.txt"], SECOND) == "gone.txt"
    assert past.put_back(["labs", "lab1.txt"], FIRST) == f"lab1 from {FIRST}.txt"
    assert (past.home / "labs/lab1.txt").read_text() == ""
    assert (past.home / f"labs/lab1 from {FIRST}.txt").read_text() == "one"
    with pytest.raises(versions.NotThere, match="already"):
        past.put_back(["labs", "lab1.txt"], FIRST)
    (past.home / "labs").rename(past.home / "moved")
    assert past.put_back(["labs"], SECOND) == "labs"
    assert (past.home / "labs/gone.txt").read_text() == "gone"


@pytest.mark.parametrize(
    ("path", "moment"), [("../secret", FIRST), ("labs/../../secret", FIRST), ("labs/lab1.txt", ".."), ("", FIRST)]
)
def test_versions_lead_nowhere_else(past: Any, path: str, moment: str) -> None:
    with pytest.raises(versions.NotThere):
        past.one(versions.parts_of(path), moment)


def test_versions_show_a_notebooks_cells(tmp_path: Path) -> None:
    book = tmp_path / "lab.ipynb"
    book.write_text(json.dumps({"cells": [{"cell_type": "code", "source": ["a = 1\n", "a"]}]}))
    assert versions.text_of(book) == "[code]\na = 1\na"
    book.write_text("{broken")
    assert versions.text_of(book) == "{broken"
    (tmp_path / "plot.png").write_bytes(b"\x89PNG\xff")
    with pytest.raises(versions.NotThere, match="no text"):
        versions.text_of(tmp_path / "plot.png")


@pytest.mark.parametrize(("used", "level"), [(79, 0), (80, 1), (97, 1), (98, 2)])
def test_disk_space_is_told_from_a_level_on(tmp_path: Path, used: int, level: int) -> None:
    told = tmp_path / "ada.json"
    told.write_text(json.dumps({"used": used * 10**6, "limit": 10**8}))
    found, message = disk.warning(told)
    assert found == level
    assert (f"{used} of 100 MB" in message) == bool(level)


def test_disk_space_without_limits_is_not_told(tmp_path: Path) -> None:
    assert disk.warning(tmp_path / "nobody.json") == (0, "")
