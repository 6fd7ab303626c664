"""The arithmetic of the benchmark of students' work, and the homes that it makes."""

from __future__ import annotations

import json
import random
import zlib
from pathlib import Path

import pytest

from benchmarks import term
from benchmarks.hourly_backup import Sample, Window, compare
from benchmarks.power_off import Saves, copy_data, last_time, version_in

pytestmark = pytest.mark.unit

#: Version, request, answer.
SAVES = Saves([(1, 0.0, 0.2), (2, 1.0, 1.5), (3, 2.0, 2.1), (4, 3.0, 3.4)])


@pytest.mark.parametrize(
    ("survived", "moment", "lost"),
    [
        (3, 3.2, 0.0),
        (4, 3.2, 0.0),
        (2, 3.2, 0.6),
        (1, 3.5, 3.2),
        (0, 3.5, 3.4),
        (0, 0.1, 0.0),
    ],
)
def test_lost_work_is_what_was_answered(survived: int, moment: float, lost: float) -> None:
    """A save that nobody was told of is not lost; nor is one that survived without an answer."""
    assert SAVES.lost(survived, moment) == pytest.approx(lost)


def test_last_time_of_a_torn_file() -> None:
    """A line or a table that was written only partly does not count."""
    assert last_time("1.00,ok\n2.50,ok\n3.0", whole=False) == 2.5
    assert last_time("", whole=False) is None
    assert last_time("4.25\n0.1,0.2\nend\n", whole=True) == 4.25
    assert last_time("4.25\n0.1,0.", whole=True) is None


def test_version_that_lab_opens(tmp_path: Path) -> None:
    path, copy = tmp_path / "work.ipynb", tmp_path / ".~work.ipynb"
    assert version_in(path) == (0, "nothing")
    copy.write_text(json.dumps(term.notebook(random.Random(1), 1, version=6)))
    path.write_text("")
    assert version_in(path) == (6, "Jupyter's copy")
    path.write_text(json.dumps(term.notebook(random.Random(1), 1, version=7)))
    assert version_in(path) == (7, "the notebook")


def test_copy_of_a_sparse_file_is_equal(tmp_path: Path) -> None:
    source, target = tmp_path / "one", tmp_path / "two"
    with source.open("wb") as file:
        file.truncate(8 << 20)
        for place in (0, 3 << 20, (8 << 20) - 5):
            file.seek(place)
            file.write(b"bytes")
    copy_data(source, target)
    assert target.read_bytes() == source.read_bytes()
    assert target.stat().st_blocks * 512 < 1 << 20


def test_samples_count_where_they_began() -> None:
    """At the edge of two windows one belongs to the later; outside of all it does not count."""
    windows = [Window(False, 0, 10), Window(True, 10, 20)]
    samples = [Sample(began, seconds) for began, seconds in ((0, 1), (9.9, 1.5), (10, 3), (19, 1), (20, 99))]
    found = compare(samples, windows)
    assert (found["without"]["count"], found["with"]["count"]) == (2, 2)
    assert (found["without"]["max"], found["with"]["max"], found["p95 ratio"]) == (1.5, 3, 2.0)
    assert compare(samples, windows[:1])["p95 ratio"] is None


def test_home_has_the_size_and_is_like_a_term(tmp_path: Path) -> None:
    """Notebooks are JSON, plots are valid PNGs that do not compress, handouts are the same in every home."""
    homes = [tmp_path / name for name in ("abello", "bcarter", "again")]
    for home, person in zip(homes, ("abello", "bcarter", "abello"), strict=True):
        home.mkdir()
        size = term.fill(home, person, 12_000_000)
        assert size == pytest.approx(12_000_000, rel=0.03)
        assert size == sum(path.stat().st_size for path in home.rglob("*") if path.is_file())
    first, second, again = ({path.relative_to(home): path.read_bytes() for path in home.rglob("*.*")} for home in homes)
    assert first == again
    same = {path.parts[0] for path in first.keys() & second.keys() if first[path] == second[path]}
    assert same == {"handouts"}
    picture = first[Path("data/photo0.png")]
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    assert len(zlib.compress(picture)) > 0.99 * len(picture)
    books = [json.loads(content) for path, content in first.items() if path.suffix == ".ipynb"]
    assert all(book["nbformat"] == 4 for book in books)
    before = set(homes[0].rglob("*"))
    assert term.work_an_hour(homes[0], "abello", "1") > 500_000
    assert len(set(homes[0].rglob("*")) - before) == 2
