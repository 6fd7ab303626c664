"""``roster``: the encrypted class list of a course."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from runner import classlist, people
from runner import course as courses
from runner.claim import claim
from runner.classlist import Entry
from runner.course import People, Person
from runner.errors import USAGE, CoursehubError
from runner.people import ROLES, Change, ClassList, Role
from runner.project import Project

#: Shows a change and says whether to write it.
Agree = Callable[[dict[str, Any]], bool]


def import_(
    project: Project, course_id: str, file: Path, agree: Agree, *, role: Role | None = None, only_add: bool = False
) -> dict[str, Any]:
    """Bring the class list to what an exported file says, once ``agree`` has seen who comes and who goes."""
    _needs_list(project, course_id)
    read = classlist.read(file)
    found = {"system": read.system, "notes": read.notes}
    return _change(
        project,
        course_id,
        agree,
        lambda known: people.merge(known, read.entries, role=role, only_add=only_add),
        {"file": str(file), "read": len(read.entries), **found},
    )


def add(project: Project, course_id: str, agree: Agree, *, role: Role, ask: Callable[[str], str]) -> dict[str, Any]:
    """Add one person, who is asked for: by name, and by the email address or login at the college."""
    _needs_list(project, course_id)
    name, mark = classlist.clean(ask("Name")), classlist.clean(ask("Email address or login at the college"))
    table = [(0, ["name", "email" if "@" in mark else "login"]), (1, [name, mark])]
    entries: list[Entry] = classlist.parse(table, "the answers").entries
    return _change(
        project, course_id, agree, lambda known: people.merge(known, entries, role=role, only_add=True), {"read": 1}
    )


def remove(project: Project, course_id: str, account: str, agree: Agree) -> dict[str, Any]:
    """Take one person out: the next apply locks the account, stops the server and keeps the files."""
    _needs_list(project, course_id)
    return _change(project, course_id, agree, lambda known: people.remove(known, account), {"read": 0})


def show(project: Project, course_id: str) -> dict[str, Any]:
    """Everybody of the course with role and account, from wherever the course keeps its people."""
    course = courses.load(project, course_id)
    if course.people is None:
        listed = people.read(project, course_id)
    else:
        listed = ClassList(**{role: getattr(course.people, role) for role in ROLES})
    return {
        "course": course_id,
        "encrypted": course.people is None,
        "people": [_shown(role, person) for role, person in listed.present()],
        "left": [person.account for person in listed.left],
    }


def encrypt(project: Project, course_id: str) -> dict[str, Any]:
    """Move the people of a course's own file into its encrypted class list. Can be interrupted and run again."""
    read = courses.source(project, course_id)
    path = project.course_file(course_id)
    own = read.data["course"].get("people") if isinstance(read.data, dict) and read.data.get("course") else None
    with claim(project, course_id, "roster encrypt"):
        known = people.read(project, course_id)
        if own is None:
            moved = 0
        else:
            try:
                listed = ClassList(**People.model_validate(own).model_dump())
            except ValidationError:
                courses.load(project, course_id)
                raise
            if known not in (ClassList(), listed):
                raise CoursehubError(
                    f"{read.at('course', 'people')}: the class list has other people than this file; remove one",
                    exit_code=USAGE,
                )
            people.write(project, course_id, listed)
            path.write_text(_without_people(read), encoding="utf-8")
            moved = len(list(listed.present()))
    return {
        "course": course_id,
        "moved": moved,
        "file": project.shown(path),
        "list": project.shown(project.people_file(course_id)),
    }


def _without_people(read: courses.Source) -> str:
    """The course file's text without its ``people:``; all else stays as it was typed."""
    lines = read.path.read_text(encoding="utf-8").splitlines(keepends=True)
    first = read.line(("course", "people")) - 1
    depth = _indentation(lines[first])
    last = first + 1
    # A list may stand as deep as its key, and comments anywhere; both go with what they are about.
    while last < len(lines) and (
        not lines[last].strip() or _indentation(lines[last]) > depth or lines[last].lstrip().startswith("- ")
    ):
        last += 1
    kept_blank = ["\n"] if last < len(lines) and first and lines[first - 1].strip() else []
    return "".join([*lines[:first], *kept_blank, *lines[last:]])


def _indentation(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _needs_list(project: Project, course_id: str) -> None:
    """Refuse a course that is not there, or that names its people in its own file."""
    read = courses.source(project, course_id)
    course = (read.data or {}).get("course") if isinstance(read.data, dict) else None
    if isinstance(course, dict) and "people" in course:
        raise CoursehubError(
            f"{read.at('course', 'people')}: this course names its people in its own file; move them into an encrypted "
            f"class list with 'coursehub roster encrypt {course_id}'",
            exit_code=USAGE,
        )


def _change(
    project: Project, course_id: str, agree: Agree, make: Callable[[ClassList], Change], facts: dict[str, Any]
) -> dict[str, Any]:
    with claim(project, course_id, "roster"):
        known = people.read(project, course_id)
        change = make(known)
        document = {
            "course": course_id,
            **facts,
            **{
                kind: [_shown(role, person) for role, person in getattr(change, kind)]
                for kind in ("comes", "returns", "moves", "goes")
            },
            "stays": change.stays,
            "written": False,
        }
        if change.listed != known and agree(document):
            people.write(project, course_id, change.listed)
            document["written"] = True
    return document


def _shown(role: Role, person: Person) -> dict[str, Any]:
    return {"role": role, **{key: value for key, value in person.model_dump().items() if value}}
