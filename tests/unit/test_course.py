"""The course file: the message for each mistake."""

from pathlib import Path

import pytest

from runner import course
from runner.errors import CoursehubError
from runner.project import Project

pytestmark = pytest.mark.unit

GOOD = """\
#!yaml
course:
  title: "Physics 1"
  domain: phys1.example.edu
  contact: prof@example.edu
  timezone: Europe/Berlin
  size: s-1vcpu-1gb
  limits:
    memory: 700M
    cpu: 0.5
  packages: [numpy, "pandas>=2,<3"]
  people:
    professors:
      - {account: curie, name: Marie Skłodowska-Curie}
    students:
      - {account: student1, name: A B}
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "pillar" / "courses").mkdir(parents=True)
    return Project(tmp_path)


def write(project: Project, text: str, course_id: str = "phys1") -> None:
    project.course_file(course_id).write_text(text, encoding="utf-8")


def test_a_good_file_becomes_typed_facts(project: Project) -> None:
    write(project, GOOD)
    parsed = course.load(project, "phys1")
    assert parsed.limits.memory == "700M"
    assert parsed.hostnames == ("phys1.example.edu", "www.phys1.example.edu")
    assert [person.account for person in parsed.people.everyone()] == ["curie", "student1"]


def test_subdomains_need_wildcard_and_challenge_records(project: Project) -> None:
    write(project, GOOD.replace("  domain:", "  isolation: subdomains\n  domain:"))
    parsed = course.load(project, "phys1")
    assert parsed.subdomains
    assert parsed.dns_names == (*parsed.hostnames, "*.phys1.example.edu", "_acme-challenge.phys1.example.edu")
    write(project, GOOD.replace("  domain:", "  isolation: paths\n  domain:"))
    parsed = course.load(project, "phys1")
    assert not parsed.subdomains
    assert parsed.dns_names == parsed.hostnames


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("title:", "titel:", 3, "unknown key titel; did you mean title?"),
        ("memory: 700M", "memmory: 700M", 9, "unknown key limits.memmory; did you mean memory?"),
        ("memory: 700M", "memory: 700", 9, "limits.memory (700): must be an amount such as 512M or 2G"),
        ("memory: 700M", 'memory: "lots"', 9, "must be an amount such as 512M or 2G"),
        ("cpu: 0.5", "cpu: fast", 10, "limits.cpu ('fast'): must be a number"),
        ("cpu: 0.5", "cpu: 0.0", 10, "limits.cpu (0.0)"),
        ("domain: phys1.example.edu", "domain: https://phys1.example.edu/", 4, "must be a full host name"),
        ("Europe/Berlin", "Europe/Berlin2", 6, "did you mean Europe/Berlin?"),
        ("Europe/Berlin", "PST", 6, "not a time zone; write it as Continent/City, such as America/Los_Angeles"),
        ('"Physics 1"', "Physics 1: Mechanics", 3, "a value with a colon in it; put the value in quotes"),
        ('"Physics 1"', "Physics 1:", 3, "a value with a colon in it; put the value in quotes"),
        ("account: curie", "account: Marie.Curie", 14, "must be an account such as curie"),
        ("account: curie", "account: root", 14, "belongs to the system"),
        ("account: student1", "account: curie", 16, "the account curie is given twice"),
        ("  size: s-1vcpu-1gb", "  cloud: aws", 7, "cloud ('aws')"),
        ("[numpy,", '["numpy; rm -rf /",', 11, "must be a package"),
        (
            "    professors:\n      - {account: curie, name: Marie Skłodowska-Curie}\n",
            "",
            12,
            "people.professors is missing",
        ),
        ("{account: student1, name: A B}", "{account: student1, nam: A B}", 16, "did you mean name?"),
        ("  title:", "  title: twice\n  title:", 4, "title is there twice (first in line 3)"),
        ('"Physics 1"', '"Physics 1', 3, "a quote that opens here is not closed"),
        ('"Physics 1"', "{% if x %}", 3, "Jinja is not for course files"),
        ("course:", "kurs:", 2, "unknown key kurs; did you mean course?"),
        ('"Physics 1"', "2026-02-30", 3, "put the value in quotes"),
        ("account: curie", 'account: "curie\\n"', 14, "must be an account such as curie"),
    ],
)
def test_a_mistake_is_one_line_with_file_and_line(project: Project, old: str, new: str, line: int, says: str) -> None:
    assert old in GOOD
    write(project, GOOD.replace(old, new, 1))
    with pytest.raises(CoursehubError) as caught:
        course.load(project, "phys1")
    message = str(caught.value)
    assert caught.value.exit_code == 2
    assert says in message
    assert "\n" not in message
    assert f"pillar/courses/phys1.sls:{line}: " in message


def test_an_unknown_course_names_the_nearest(project: Project) -> None:
    write(project, GOOD)
    with pytest.raises(CoursehubError, match="did you mean phys1") as caught:
        course.load(project, "phys2")
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("course_id", ["../site", "Phys1", "", "a b"])
def test_a_course_id_is_no_path(project: Project, course_id: str) -> None:
    with pytest.raises(CoursehubError):
        course.load(project, course_id)


def test_a_file_that_is_not_utf8(project: Project) -> None:
    project.course_file("phys1").write_bytes(GOOD.encode("utf-16"))
    with pytest.raises(CoursehubError, match="save the file as UTF-8"):
        course.load(project, "phys1")


def test_an_empty_file(project: Project) -> None:
    write(project, "")
    with pytest.raises(CoursehubError):
        course.load(project, "phys1")


def test_the_courses_of_this_repository_are_valid() -> None:
    here = Project(Path(__file__).resolve().parents[2])
    ids = course.course_ids(here)
    assert ids
    for course_id in ids:
        course.load(here, course_id)
