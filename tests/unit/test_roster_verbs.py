"""``coursehub roster`` as typed: what a change shows, the questions, and what is written."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from runner import people
from runner.people import ClassList
from runner.project import Project
from tests.support.projects import empty_project
from tests.support.typed import Ended, typed

pytestmark = pytest.mark.unit

COURSE = '#!yaml\ncourse:\n  title: "P"\n  domain: phys.example.edu\n  contact: prof@example.edu\n'
LISTED = ClassList.model_validate(
    {
        "professors": [{"account": "curie", "name": "Marie Curie"}],
        "students": [
            {"account": "ann", "name": "Ann Lee", "email": "ann@x.edu", "groups": ["team-1"]},
            {"account": "ben", "name": "Ben Ito", "email": "ben@x.edu"},
        ],
    }
)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    made = empty_project(tmp_path, monkeypatch)
    made.course_file("phys").write_text(COURSE)
    people.write(made, "phys", LISTED)
    return made


@pytest.fixture
def roster(project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    del project

    def run(*arguments: str, given: str = "") -> Ended:
        monkeypatch.setattr("sys.stdin", io.StringIO(given))
        ended = typed(monkeypatch, capsys, "roster", *arguments)
        assert "an error of coursehub's own" not in ended.err
        return ended

    return run


def export(tmp_path: Path, *rows: str) -> str:
    path = tmp_path / "list.csv"
    path.write_text("name,email,team\n" + "".join(f"{row}\n" for row in rows))
    return str(path)


def test_preview_shows_what_changes_of_those_who_stay(roster: Any, project: Project, tmp_path: Path) -> None:
    file = export(tmp_path, "Ann Miller,ann@x.edu,Team 2", "Ben Ito,ben@x.edu,")
    dry = roster("import", "phys", file, "--dry-run")
    lines = [" ".join(line.split()) for line in dry.out.splitlines()]
    assert "~ ann name: Ann Lee -> Ann Miller" in lines
    assert "~ ann teams: team-1 -> team-2" in lines
    assert "what is known of 1 changes; 3 stay" in dry.out
    done = json.loads(roster("import", "phys", file, "--yes", "--json").out)
    assert done["written"]
    assert [(one["key"], one["old"], one["new"]) for one in done["changes"]] == [
        ("name", "Ann Lee", "Ann Miller"),
        ("teams", "team-1", "team-2"),
    ]
    assert people.read(project, "phys").students[1].name == "Ann Miller"


def test_a_question_stops_yes_and_writes_nothing(roster: Any, project: Project, tmp_path: Path) -> None:
    """A student with the professor's name, who has no email address here."""
    file = export(tmp_path, '"Curie, Marie",someone@x.edu,', "Ann Lee,ann@x.edu,Team 1", "Ben Ito,ben@x.edu,")
    before = project.people_file("phys").read_bytes()
    for flags in (["--yes"], ["--yes", "--json"], []):
        ended = roster("import", "phys", file, *flags)
        assert ended.code == 2
        assert "a question is open: line 2 has the name of curie, who is among the professors" in ended.line
        assert "Marie" not in ended.line
    assert project.people_file("phys").read_bytes() == before
    assert roster("edit", "phys", "curie", "--yes", given="email: curie@x.edu\n").code == 0
    done = json.loads(roster("import", "phys", file, "--yes", "--json").out)
    assert [(one["role"], one["account"]) for one in done["comes"]] == [("students", "someone")]
    assert people.read(project, "phys").professors[0].email == "curie@x.edu"


def test_edit_changes_facts_and_role_and_keeps_the_account(roster: Any, project: Project) -> None:
    given = "email: ann.lee@x.edu\nnumber: 77\ngroups: Team 2, 第一组\n"
    done = json.loads(roster("edit", "phys", "ann", "--role", "assistants", "--yes", "--json", given=given).out)
    assert [(one["role"], one["account"]) for one in done["moves"]] == [("assistants", "ann")]
    (ann,) = people.read(project, "phys").assistants
    assert (ann.account, ann.name, ann.email, ann.number) == ("ann", "Ann Lee", "ann.lee@x.edu", "77")
    assert ann.groups == ["team-2", "diyizu-5whes"]
    assert roster("edit", "phys", "ann", "--yes", given="number: -\n").code == 0
    assert people.read(project, "phys").assistants[0].number is None


@pytest.mark.parametrize(
    ("arguments", "given", "says"),
    [
        (("edit", "phys", "anne"), "email: x@x.edu\n", "the class list has the account anne; did you mean ann?"),
        (("remove", "phys", "bem", "--yes"), "", "nobody in the class list has the account bem; did you mean ben?"),
        (("edit", "phys", "ann"), "mail: x@x.edu\n", "'mail' is no fact of a person; there are: name, email, login"),
        (("edit", "phys", "ann"), "email: x\n", "the email cannot be kept: an email address such as"),
        (("edit", "phys", "ann"), "email: BEN@x.edu\n", "the email is ben's already; give each their own"),
        (("edit", "phys", "ann"), "", "nothing was given; run it in a terminal, or pipe in lines such as"),
        (("edit", "phys", "curie", "--role", "students", "--yes"), "", "would leave the course without a professor"),
        (("export", "phys", "root/list.csv"), "", "people's names in clear do not belong into this repository"),
    ],
)
def test_a_wrong_roster_command_is_one_line(
    roster: Any,
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    given: str,
    says: str,
) -> None:
    monkeypatch.chdir(project.root.parent)
    ended = roster(*arguments, given=given)
    assert ended.code == 2
    assert says in ended.line
    assert people.read(project, "phys") == LISTED


def test_an_export_is_private_and_can_be_imported_again(roster: Any, project: Project, tmp_path: Path) -> None:
    shown = json.loads(roster("export", "phys", "--json").out)
    assert Path(shown["file"]).is_relative_to(project.state)
    target = tmp_path / "class.csv"
    assert roster("export", "phys", str(target)).code == 0
    assert target.stat().st_mode & 0o777 == 0o600
    rows = list(csv.DictReader(io.StringIO(target.read_text(encoding="utf-8-sig"), newline="")))
    assert [(row["account"], row["role"], row["groups"]) for row in rows] == [
        ("curie", "professors", ""),
        ("ann", "students", "team-1"),
        ("ben", "students", ""),
    ]
    head, _, *students = target.read_text(encoding="utf-8-sig").splitlines(keepends=True)
    target.write_text("".join([head, *students]))
    assert not json.loads(roster("import", "phys", str(target), "--yes", "--json").out)["written"]
