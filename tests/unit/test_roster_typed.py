"""``coursehub roster`` as typed: import, errors, and moving people out of the course file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from runner.project import Project
from tests.support.secret_courses import (
    COURSE,
    PEOPLE,
    coursehub,  # noqa: F401
    project,  # noqa: F401
)

pytestmark = pytest.mark.unit


def export(tmp_path: Path, *logins: str) -> str:
    path = tmp_path / "list.csv"
    path.write_text("Username,Last Name,First Name\n" + "".join(f"{login},Lee,Ann\n" for login in logins))
    return str(path)


def test_import_shows_asks_and_writes(coursehub: Any, project: Project, tmp_path: Path) -> None:
    file = export(tmp_path, "a.b", "a_b", "a-b")
    asked = coursehub("roster", "import", "phys", file)
    assert asked.code == 2
    assert "say --yes to write it, or --dry-run to look" in asked.line
    assert asked.out.count("+ student") == 3
    dry = coursehub("roster", "import", "phys", file, "--dry-run")
    assert (dry.code, project.people_file("phys").exists()) == (0, False)
    document = json.loads(coursehub("roster", "import", "phys", file, "--yes", "--json").out)
    assert document["written"]
    assert len({person["account"] for person in document["comes"]}) == 3
    again = coursehub("roster", "import", "phys", file, "--yes")
    assert "nobody comes or goes; 3 stay" in again.out
    gone = json.loads(coursehub("roster", "import", "phys", export(tmp_path, "a_b"), "--yes", "--json").out)
    assert [person["login"] for person in gone["goes"]] == ["a-b", "a.b"]
    shown = json.loads(coursehub("roster", "show", "phys", "--json").out)
    assert ([person["account"] for person in shown["people"]], len(shown["left"])) == (["a_b"], 2)
    added = json.loads(coursehub("roster", "import", "phys", export(tmp_path, "new"), "--add", "--yes", "--json").out)
    assert (added["goes"], added["stays"]) == ([], 1)
    removed = json.loads(coursehub("roster", "remove", "phys", "new", "--yes", "--json").out)
    assert [person["account"] for person in removed["goes"]] == ["new"]


def test_unchanged_list_is_not_written_again(coursehub: Any, project: Project, tmp_path: Path) -> None:
    """Each encryption differs, so git would show a change without content."""
    coursehub("roster", "import", "phys", export(tmp_path, "a"), "--yes")
    before = project.people_file("phys").read_bytes()
    coursehub("roster", "import", "phys", export(tmp_path, "a"), "--yes")
    assert project.people_file("phys").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("import", "phis", "x.csv"), "did you mean phys?"),
        (("import", "phys", "x.csv"), "there is no such file"),
        (("import", "phys"), "Missing argument 'FILE'"),
        (("import", "phys", "x.csv", "--role", "boss"), "'boss' is not one of 'professors', 'assistants'"),
        (
            ("import", "chem", "x.csv"),
            "pillar/courses/chem.sls:6: this course names its people in its own file; move them into an encrypted",
        ),
        (("add", "chem", "students"), "names its people in its own file"),
        (("add", "phys", "students"), "nothing was given; type it, or pipe in a line"),
        (("remove", "phys", "x"), "nobody in the class list has the account x"),
        (("show", "phys"), "people is missing; add it, or read a class list with 'coursehub roster import phys FILE'"),
    ],
)
def test_a_wrong_roster_command_is_one_line(coursehub: Any, arguments: tuple[str, ...], says: str) -> None:
    ended = coursehub("roster", *arguments)
    assert ended.code in (1, 2)
    assert says in ended.line


def test_people_in_both_places_are_refused(coursehub: Any, project: Project, tmp_path: Path) -> None:
    coursehub("roster", "import", "phys", export(tmp_path, "a"), "--yes")
    project.course_file("phys").write_text(COURSE + PEOPLE)
    ended = coursehub("roster", "show", "phys")
    assert ended.code == 2
    assert (
        "pillar/courses/phys.sls:6: people are listed here and in the class list pillar/secrets/phys-people.sls"
        in ended.line
    )


def test_show_of_people_in_the_course_file(coursehub: Any) -> None:
    assert coursehub("roster", "show", "chem").out.split() == ["professor", "curie", "M", "C"]


def test_people_move_from_the_course_file_into_the_list(coursehub: Any, project: Project) -> None:
    path = project.course_file("chem")
    text = (
        COURSE + PEOPLE + "    students:\n    # a comment\n    - {account: ann, name: A}\n\n  idle_after: 60   # kept\n"
    )
    path.write_text(text)
    before = json.loads(coursehub("roster", "show", "chem", "--json").out)
    moved = json.loads(coursehub("roster", "encrypt", "chem", "--json").out)
    assert moved["moved"] == 2
    assert path.read_text() == COURSE + "\n  idle_after: 60   # kept\n"
    after = json.loads(coursehub("roster", "show", "chem", "--json").out)
    assert (after["people"], after["encrypted"]) == (before["people"], True)
    assert json.loads(coursehub("roster", "encrypt", "chem", "--json").out)["moved"] == 0
    # Killed between the two files: both have the same people, and the second run completes it.
    path.write_text(text)
    assert coursehub("roster", "show", "chem").code == 2
    assert json.loads(coursehub("roster", "encrypt", "chem", "--json").out)["moved"] == 2
    path.write_text(text.replace("ann", "bob"))
    assert "the class list has other people than this file; remove one" in coursehub("roster", "encrypt", "chem").line


def test_moving_people_that_are_wrong_tells_the_line(coursehub: Any, project: Project) -> None:
    project.course_file("chem").write_text(COURSE + PEOPLE.replace("curie", "Curie"))
    ended = coursehub("roster", "encrypt", "chem")
    assert ended.code == 2
    assert "pillar/courses/chem.sls:7: " in ended.line
    assert not project.people_file("chem").exists()


def test_the_demo_can_be_moved(coursehub: Any, project: Project) -> None:
    pillar = Path(__file__).resolve().parents[2] / "pillar"
    text = (pillar / "courses/demo.sls").read_text(encoding="utf-8")
    project.course_file("demo").write_text(text, encoding="utf-8")
    shutil.copytree(pillar / "files/data", project.data)
    assert json.loads(coursehub("roster", "encrypt", "demo", "--json").out)["moved"] == 26
    assert "Rivera" not in project.course_file("demo").read_text()
    assert len(json.loads(coursehub("roster", "show", "demo", "--json").out)["people"]) == 26
