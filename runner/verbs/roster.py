"""``roster``: the encrypted class list of a course."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from runner import classlist, people
from runner import course as courses
from runner.classlist import Entry
from runner.classlist.teams import names_in, short
from runner.course import People, Person
from runner.course.cutting import replace_text, without_people
from runner.errors import USAGE, CoursehubError
from runner.files import write_private
from runner.people import ROLES, Change, ClassList, Role
from runner.people.passwords import as_csv
from runner.project import Project
from runner.servers.claim import claim

#: Columns of an exported class list, as an import reads them.
_COLUMNS = ("name", "email", "login", "number", "github", "role", "account", "groups")
#: Shows a change and returns whether to write it.
Agree = Callable[[dict[str, Any]], bool]


def import_(
    project: Project,
    course_id: str,
    file: Path,
    agree: Agree,
    *,
    role: Role | None = None,
    only_add: bool = False,
    encoding: str | None = None,
) -> dict[str, Any]:
    """Merge an exported file into the class list after ``agree`` has confirmed the changes."""
    _needs_list(project, course_id)
    read = classlist.read(file, encoding)
    found = {"system": read.system, "notes": read.notes, "doubts": read.doubts}
    return _change(
        project,
        course_id,
        agree,
        lambda known: people.merge(known, read.entries, role=role, only_add=only_add),
        {"file": str(file), "read": len(read.entries), **found},
    )


def add(project: Project, course_id: str, agree: Agree, *, role: Role, ask: Callable[[str], str]) -> dict[str, Any]:
    """Add one person; asks for the name and for the email address or login at the college."""
    _needs_list(project, course_id)
    name, mark = classlist.clean(ask("Name")), classlist.clean(ask("Email address or login at the college"))
    table = [(0, ["name", "email" if "@" in mark else "login"]), (1, [name, mark])]
    entries: list[Entry] = classlist.parse(table, "the answers").entries
    return _change(
        project, course_id, agree, lambda known: people.merge(known, entries, role=role, only_add=True), {"read": 1}
    )


def edit(
    project: Project,
    course_id: str,
    account: str,
    agree: Agree,
    *,
    role: Role | None = None,
    ask: Callable[[dict[str, Any]], dict[str, Any]],
) -> dict[str, Any]:
    """Change the facts about one person; ``ask`` gets them and returns the changed ones, "" to remove one."""
    _needs_list(project, course_id)
    _, person = people.read(project, course_id).holder(account)
    facts = ask(person.model_dump())
    if "groups" in facts:
        facts["groups"] = [short(name) for name in names_in(facts["groups"])]
    return _change(project, course_id, agree, lambda known: people.edit(known, account, facts, role=role), {"read": 0})


def export(project: Project, course_id: str, file: Path | None) -> dict[str, Any]:
    """Write everybody to a CSV file that only this user can read.

    Raises CoursehubError (2) for a file within the repository.
    """
    everyone = show(project, course_id)["people"]
    path = (file or project.state / "sheets" / course_id / "class-list.csv").absolute()
    if path.is_relative_to(project.root.absolute()) and not path.is_relative_to(project.state.absolute()):
        raise CoursehubError(
            f"{file}: people's names in clear do not belong into this repository; give a path outside of it, or none",
            exit_code=USAGE,
        )
    rows = [[*(one.get(key) or "" for key in _COLUMNS[:-1]), ", ".join(one.get("groups", []))] for one in everyone]
    # Excel reads UTF-8 without a byte order mark as Windows-1252.
    write_private(path, "\ufeff" + as_csv([_COLUMNS, *rows]))
    return {"course": course_id, "file": str(path), "people": len(everyone)}


def remove(project: Project, course_id: str, account: str, agree: Agree) -> dict[str, Any]:
    """Remove one person: the next apply locks the account, stops the server and keeps the files."""
    _needs_list(project, course_id)
    return _change(project, course_id, agree, lambda known: people.remove(known, account), {"read": 0})


def show(project: Project, course_id: str) -> dict[str, Any]:
    """Everybody in the course with role and account, wherever people are stored."""
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
    """Move the people from a course's own file into its encrypted class list. May be interrupted and repeated."""
    read = courses.source(project, course_id)
    path = project.course_file(course_id)
    own = read.data["course"].get("people") if isinstance(read.data, dict) and read.data.get("course") else None
    with claim(project, course_id, "roster encrypt"):
        known = people.read(project, course_id)
        if own is None:
            moved = 0
        else:
            try:
                in_file = People.model_validate(own)
                listed = ClassList(**in_file.model_dump())
            except ValidationError:
                courses.load(project, course_id)
                raise
            if known not in (ClassList(), listed):
                raise CoursehubError(
                    f"{read.at('course', 'people')}: the class list has other people than this file; remove one",
                    exit_code=USAGE,
                )
            rest = without_people(read, in_file)
            people.write(project, course_id, listed)
            replace_text(path.resolve(), rest)
            moved = len(list(listed.present()))
    return {
        "course": course_id,
        "moved": moved,
        "file": project.shown(path),
        "list": project.shown(project.people_file(course_id)),
    }


def _needs_list(project: Project, course_id: str) -> None:
    """Refuse an unknown course, or one with its people in its own file."""
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
            "notes": [*facts.get("notes", ()), *change.notes],
            "doubts": [*facts.get("doubts", ()), *change.doubts],
            **{
                kind: [_shown(role, person) for role, person in getattr(change, kind)]
                for kind in ("comes", "returns", "moves", "goes")
            },
            "changes": [
                {"account": before.account, "key": key, "old": old, "new": new}
                for before, after in change.changes
                for key, old, new in _differences(before, after)
            ],
            "stays": change.stays,
            "written": False,
        }
        if change.anything and agree(document):
            people.write(project, course_id, change.listed)
            document["written"] = True
    return document


def _shown(role: Role, person: Person) -> dict[str, Any]:
    return {"role": role, **{key: value for key, value in person.model_dump().items() if value}}


def _differences(before: Person, after: Person) -> Iterator[tuple[str, str, str]]:
    for key, old in before.model_dump().items():
        new = getattr(after, key)
        if old != new:
            shown = [", ".join(value) if isinstance(value, list) else value or "" for value in (old, new)]
            yield ("teams" if key == "groups" else key), shown[0], shown[1]
