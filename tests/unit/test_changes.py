"""``plan`` for a teacher: the key, old and new value, and whom the change reaches when."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from runner.course import Course
from runner.project import Project
from runner.verbs import changes

pytestmark = pytest.mark.unit

FACTS: dict[str, Any] = {
    "title": "P",
    "domain": "p.example.edu",
    "contact": "p@example.edu",
    "limits": {"memory": "1G"},
    "packages": ["numpy", "pandas"],
    "people": {"professors": [{"account": "curie", "name": "Marie Curie"}]},
}


def course(**changed: Any) -> Course:
    return Course.model_validate({**FACTS, **changed})


def test_changed_key_is_shown_as_typed_with_whom_it_reaches(tmp_path: Path) -> None:
    project = Project(tmp_path)
    assert changes.since(project, "phys", course()) == []
    changes.keep(project, "phys", course())
    assert changes.since(project, "phys", course()) == []
    assert "Marie" not in (project.state / "servers/phys/applied.json").read_text()
    found = changes.since(
        project,
        "phys",
        course(limits={"memory": "512M"}, packages=["numpy", "pint"], page={"message": "Hello"}, upload_limit="200M"),
    )
    later = "personal servers that start after apply; those that run keep what they have"
    assert [str(fact) for fact in found] == [
        f"limits.memory: 1G -> 512M (reaches {later})",
        "upload_limit: 100M -> 200M (reaches everybody, at once)",
        f"packages: pandas -> pint (reaches {later})",
        "page.message: (nothing) -> Hello (reaches everybody, at once; nothing restarts)",
    ]


def test_every_key_of_a_course_says_whom_it_reaches() -> None:
    silent = [key for key in Course.model_fields if changes._reaches(key) == "the server"]
    assert set(silent) <= {"people", "cloud", "dns"}


def test_changed_line_of_json_shows_what_differs() -> None:
    settings: dict[str, Any] = {"spawner": {"mem_limit": "1G", "cpu_limit": 1.0}, "much": ["x" * 1500]}
    smaller = {**settings, "spawner": {"mem_limit": "512M", "cpu_limit": 1.0}}
    lines = [
        f'{sign}SETTINGS = json.loads(r"""{json.dumps(made)}""")' for sign, made in (("-", settings), ("+", smaller))
    ]
    unified = "\n".join(["--- ", "+++ ", "@@ -5,7 +5,7 @@", " import json", *lines, " c = get_config()"])
    told = changes.diff({"diff": unified})
    assert "  spawner.mem_limit: 1G -> 512M" in told.splitlines()
    assert len(told) < 120
    assert changes.diff({"diff": "-a\n+b"}) == "-a\n+b"
