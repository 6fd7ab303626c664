"""Valid values that make no sense: for the server's size, or for what one server needs."""

from __future__ import annotations

import pytest

from runner import course
from runner.course.reference import example
from runner.errors import CoursehubError
from runner.project import Project

pytestmark = pytest.mark.unit

COURSE = """\
#!yaml
course:
  title: "P"
  domain: phys.example.edu
  contact: prof@example.edu
  size: s-4vcpu-8gb
  people:
    professors: [{account: curie, name: "Marie Curie"}]
    students:
      - {account: turing, name: "Alan Turing"}
"""


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        (
            "  size:",
            "  limits: {memory: 50M}\n  size:",
            6,
            "limits.memory ('50M'): must be an amount from 256M to 1024G",
        ),
        ("  size:", "  limits: {memory: 99999999G}\n  size:", 6, "limits.memory ('99999999G'): must be an amount from"),
        ("  size:", "  limits: {memory: 16G}\n  size:", 6, "the server of size s-4vcpu-8gb has 8G for everybody"),
        ("  size:", "  upload_limit: 99999G\n  size:", 6, "upload_limit ('99999G'): must be an amount from 1M to 20G"),
        ("phys.example", "www.phys.example", 4, "domain ('www.phys.example.edu'): write phys.example.edu; the hub"),
        ('"P"', "“P”", 3, "curly quotes around it would be shown to everybody; type straight ones"),
        (
            "  size:",
            "  material: {repositories: [{name: labs, url: https://github.com/x/y/tree/main}]}\n  size:",
            6,
            "that is the address of a page in the repository; write url: https://github.com/x/y and branch: main",
        ),
        (
            "  size:",
            "  material: {repositories: [{name: labs, url: https://gitlab.com/x/y/-/blob/dev/a.ipynb}]}\n  size:",
            6,
            "write url: https://gitlab.com/x/y and branch: dev",
        ),
        (
            "  size:",
            "  material: {repositories: [{name: labs, url: https://github.com/physics}]}\n  size:",
            6,
            "that is somebody's page and no repository",
        ),
        (
            "{account: turing",
            "{account: curie",
            10,
            "the account curie is given twice: among the professors in line 8 and among the students here",
        ),
    ],
)
def test_a_value_that_makes_no_sense_is_refused(
    empty_project: Project, old: str, new: str, line: int, says: str
) -> None:
    empty_project.course_file("phys").write_text(COURSE.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(CoursehubError) as caught:
        course.load(empty_project, "phys")
    assert str(caught.value).startswith(f"pillar/courses/phys.sls:{line}: ")
    assert says in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    "line",
    ["limits: {memory: 256M}", "limits: {memory: 8G}", "title: “P” and more", "upload_limit: 20G"],
)
def test_a_value_at_the_edge_is_taken(empty_project: Project, line: str) -> None:
    text = COURSE.replace('  title: "P"\n', "") if line.startswith("title") else COURSE
    empty_project.course_file("phys").write_text(f"{text}  {line}\n", encoding="utf-8")
    assert course.load(empty_project, "phys").domain == "phys.example.edu"


def test_the_shipped_example_is_good() -> None:
    assert "memory: 1500M" in example()
