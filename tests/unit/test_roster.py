"""People move from a course's own file into its encrypted class list."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.errors import USAGE, CoursehubError
from runner.project import Project
from runner.verbs import roster

pytestmark = pytest.mark.unit

COURSE = """\
#!yaml
course:
  title: "C"
  domain: chem.example.edu
  contact: chem@example.edu
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("COURSEHUB_KEYS", str(tmp_path / "keys"))
    (tmp_path / "root" / "pillar" / "courses").mkdir(parents=True)
    return Project(tmp_path / "root")


PAT = "{account: pat, name: Pat Doe}"
ONE = "{account: curie, name: M C}"


@pytest.mark.parametrize(
    ("before", "people", "after"),
    [
        ("", f"  people:\n    professors:\n# Bob Ray left\n      - {ONE}\n  # late:\n    students:\n    - {PAT}\n", ""),
        ("", f"  people: {{professors: [{ONE}],\n  students:\n  [{PAT}]\n  }}   # Pat\n", "  idle_after: 60\n"),
        ("", f"  people:\n    professors: [{ONE}]\n# Here was Pat Doe\n", "\n  # how long\n  idle_after: 60\n"),
        ("", f"  # the people\n  people:\n    professors:\n    - {ONE}\n    # - {PAT}\n", "\n# end\n"),
        ("", "  people:\n    professors:\n    -\n      account: curie\n      name: |-\n        M C\n", ""),
        ("  timezone: America/Los_Angeles\r\n", f"  people:\r\n    professors: [{ONE}]\r\n", "  idle_after: 60\r\n"),
        ("", f"  people:\n    professors: [{ONE}]\n  # of 2026\n", "\n  idle_after: 60\n"),
        ("", f"  people:\n    professors: [{ONE}]\n", "  # how long\n  idle_after: 60\n"),
        ("", f"  people:\n    professors: [{ONE}]\n# m c\n\n  # Ms M C\n", "\n  # how long\n  idle_after: 60\n"),
    ],
)
def test_people_are_cut_out_with_their_comments_and_nothing_else(
    project: Project, before: str, people: str, after: str
) -> None:
    path = project.course_file("chem")
    path.write_bytes((COURSE + before + people + after).encode())
    path.chmod(0o640)
    roster.encrypt(project, "chem")
    assert path.read_bytes().decode() == COURSE + before + after
    assert path.stat().st_mode & 0o777 == 0o640
    assert [one.name for one in path.parent.iterdir() if "chem" in one.name] == ["chem.sls"]
    assert "curie" in [person["account"] for person in roster.show(project, "chem")["people"]]


@pytest.mark.parametrize(
    "text",
    [
        'course: {title: "C", people: {professors: [' + ONE + "]}, idle_after: 60}\n",
        'course: {title: "C",\n people: {professors: [' + ONE + "]}, idle_after: 60}\n",
    ],
)
def test_people_that_cannot_be_cut_out_stay(project: Project, text: str) -> None:
    path = project.course_file("chem")
    path.write_text(text)
    with pytest.raises(CoursehubError, match=r"chem.sls:\d: the people cannot be removed .*; put people: ") as caught:
        roster.encrypt(project, "chem")
    assert caught.value.exit_code == USAGE
    assert path.read_text() == text
    assert not project.people_file("chem").exists()


def test_lms_list_after_the_move_keeps_known_people(project: Project, tmp_path: Path) -> None:
    """The README's steps: ``new`` writes only accounts and names, and exports state no roles."""
    project.course_file("chem").write_text(COURSE + f"  people:\n    professors: [{ONE}]\n    students: [{PAT}]\n")
    export = tmp_path / "list.csv"
    export.write_text("Username,Last Name,First Name,Email\npdoe,Doe,Pat,pdoe@x.edu\nlate,Late,A,late@x.edu\n")
    with pytest.raises(CoursehubError, match="move them into an encrypted"):
        roster.import_(project, "chem", export, lambda _: True)
    roster.encrypt(project, "chem")
    change = roster.import_(project, "chem", export, lambda _: True)
    assert ([one["account"] for one in change["comes"]], change["goes"], change["stays"]) == (["late"], [], 2)
    assert not roster.import_(project, "chem", export, lambda _: True)["written"]
