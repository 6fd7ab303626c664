"""A drill and the provider: what it makes is deleted however it ends, and the course's own server is never touched."""

from __future__ import annotations

import json
import random
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from runner.cloud import calls, digitalocean
from runner.course import load
from runner.drill import copy, record
from runner.project import Project
from runner.servers.claim import claim
from tests.support.local_api import Api
from tests.support.sandbox import REPO
from tests.support.storm import ids, killed, left

pytestmark = pytest.mark.unit

SEEDS = (1, 2, 3)
#: The points at which a drill is killed, for each seed.
KILLS = 10
TARGET = "  backup:\n    targets:\n      - {name: volume, kind: directory, path: /mnt/volume/backups}\n"
SILENT = "phys: the drill failed: drill-phys: SSH on 127.0.0.9 does not answer"


@pytest.fixture(autouse=True)
def backed_up(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The course has a target, and the working copy all that a drill copies."""
    shutil.copytree(REPO / "salt", project.root / "salt")
    shutil.copy(REPO / "Saltfile", project.root)
    with project.course_file("phys").open("a", encoding="utf-8") as file:
        file.write(TARGET)
    monkeypatch.setattr(digitalocean, "PAUSE", 0.05)
    monkeypatch.setattr(calls, "PENDING_PAUSE", 0.05)
    monkeypatch.setattr(calls.random, "uniform", lambda _least, _most: 0.01)


def test_failed_drill_leaves_nothing(coursehub: Any, api: Api, project: Project) -> None:
    ended = coursehub("drill", "phys", "--yes")
    assert ended.code == 1
    assert ended.err.strip().splitlines() == [ended.line]
    assert SILENT in ended.line
    assert left(api) == []
    assert not copy.place(project, "phys").exists()
    shown = coursehub("status", "phys")
    assert "drill: the one of" in shown.out
    assert "failed: drill-phys: SSH on" in shown.out


@pytest.mark.parametrize("seed", SEEDS)
def test_killed_drill_is_deleted_by_the_next_one(seed: int, coursehub: Any, api: Api, project: Project) -> None:
    """Killed at ten of its calls; the server of the course, with all that belongs to it, stays as it was."""
    chance = random.Random(seed)
    print(f"seed {seed}")
    coursehub("up", "phys", "--yes")
    own, before = ids(api), _left(api)
    keys = sorted((path.name, path.read_bytes()) for path in (project.state / "servers/phys").iterdir())
    for _ in range(KILLS):
        killed("drill", chance.randint(5, 55), after=chance.random() < 0.5)
        assert len(ids(api)) <= 2
        assert own[0] in ids(api)
    assert SILENT in coursehub("drill", "phys", "--yes").line
    assert _left(api) == before
    assert ids(api) == own
    assert keys == sorted((path.name, path.read_bytes()) for path in (project.state / "servers/phys").iterdir())
    assert not copy.place(project, "phys").exists()


def _left(api: Api) -> list[str]:
    """What is in the account. The test's API keeps deleted droplets in the list of a project."""
    return sorted(re.sub(r"resources=\[.*?\]", "", one) for one in left(api))


def _kill_with_a_server(api: Api, project: Project) -> None:
    """Kill drills until one has left a server and no result."""
    for number in range(20, 50):
        killed("drill", number, after=True)
        found = record.read(project, "phys")
        if ids(api) and found and found["ok"] is None:
            return
    raise AssertionError("no drill was killed while it had a server")


def test_interrupted_drill_is_told_by_status(coursehub: Any, api: Api, project: Project) -> None:
    _kill_with_a_server(api, project)
    said = coursehub("status", "phys").out
    assert "was interrupted, and its server may still be there; 'coursehub drill phys' deletes it" in said
    assert "drill-phys" in coursehub("orphans").out


def test_drill_asks_before_it_costs(coursehub: Any, api: Api) -> None:
    ended = coursehub("drill", "phys")
    assert (ended.code, left(api)) == (2, [])
    assert "a drill costs money; say 'coursehub drill phys --yes'" in ended.line
    assert "dollars an hour" in ended.err


def test_course_without_a_target_has_no_drill(coursehub: Any, api: Api, project: Project) -> None:
    path = project.course_file("phys")
    path.write_text(path.read_text(encoding="utf-8").replace(TARGET, ""), encoding="utf-8")
    ended = coursehub("drill", "phys", "--yes")
    assert (ended.code, left(api)) == (2, [])
    assert "there is no backup to try" in ended.line


def test_second_drill_at_once_is_refused(coursehub: Any, api: Api, project: Project) -> None:
    with claim(project, copy.id_of("phys"), "drill"):
        ended = coursehub("drill", "phys", "--yes")
    assert ended.code == 1
    assert "runs 'drill' on it" in ended.line
    assert left(api) == []


def test_drill_of_another_computer_is_not_deleted(coursehub: Any, api: Api, project: Project) -> None:
    _kill_with_a_server(api, project)
    shutil.rmtree(copy.place(project, "phys"))
    ended = coursehub("drill", "phys", "--yes")
    assert ended.code == 1
    assert f"droplet {ids(api)[0]} is of a drill of this course" in ended.line


def test_copy_has_no_way_to_the_real_name(project: Project) -> None:
    real = load(project, "phys")
    made, course = copy.load(project, "phys")
    text = made.course_file("drill-phys").read_text(encoding="utf-8")
    assert real.domain not in text
    assert course.domain == "drill-phys.invalid"
    assert (course.dns, course.www, course.signin.kind) == ("manual", False, "password")
    assert course.isolation == real.isolation
    assert course.people == real.people
    assert course.backup == real.backup
    assert course.material.data == []
    assert [path.name for path in made.courses.iterdir()] == ["drill-phys.sls"]


def test_id_of_a_long_course_is_valid() -> None:
    one, other = ("a-course-with-a-long-name-2026a", "a-course-with-a-long-name-2026b")
    assert len(copy.id_of(one)) <= 31
    assert copy.id_of(one) != copy.id_of(other)
    assert copy.id_of("physics") == "drill-physics"


@pytest.mark.parametrize(
    ("found", "running", "said"),
    [
        ({"ok": None}, True, "one has been running since"),
        ({"ok": False, "error": "home ada: not as in the backup"}, False, "failed: home ada: not as in the backup"),
        (
            {"ok": True, "error": None, "files": 1200, "seconds": 700, "age": 5000},
            False,
            "1200 files came back equal; a student had a kernel after 12 minutes, with data 83 minutes old",
        ),
    ],
)
def test_last_drill_in_one_line(found: dict[str, Any], running: bool, said: str) -> None:
    assert said in record.line("phys", {"began": 1_790_000_000.0, **found}, running=running)


def test_record_that_is_damaged_counts_as_none(project: Project) -> None:
    assert record.read(project, "phys") is None
    began = record.begin(project, "phys")
    record.end(project, "phys", began, error=None, files=3)
    path = Path(copy.place(project, "phys")).with_suffix(".json")
    assert json.loads(path.read_text())["files"] == 3
    path.write_text("{")
    assert record.read(project, "phys") is None
