"""``roster``: the encrypted class list of a course."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
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
            rest = _without_people(read, listed)
            people.write(project, course_id, listed)
            _replace(path.resolve(), rest)
            moved = len(list(listed.present()))
    return {
        "course": course_id,
        "moved": moved,
        "file": project.shown(path),
        "list": project.shown(project.people_file(course_id)),
    }


def _without_people(read: courses.Source, listed: ClassList) -> str:
    """The course file's text without its ``people:`` and the comments on them; all else stays as it was typed.

    Raises CoursehubError (2) with the line when the rest would not be what it was.
    """
    lines = read.path.read_bytes().decode("utf-8").splitlines(keepends=True)
    key, value = _people_nodes("".join(lines))
    depth = key.start_mark.column
    names = [person.name.casefold() for _, person in listed.present()]

    def tells(line: str) -> bool:
        return "account:" in line or any(name in line.casefold() for name in names)

    first, last = key.start_mark.line, _last_line(value) + 1
    while (
        first and _is_comment(lines[first - 1]) and (_indentation(lines[first - 1]) == depth or tells(lines[first - 1]))
    ):
        first -= 1
    last = _end_of_comments(lines, last, depth, tells)
    before, after = lines[:first], lines[last:]
    while after and before and not before[-1].strip() and not after[0].strip():
        after.pop(0)
    while not after and before and not before[-1].strip():
        before.pop()
    text = "".join([*before, *after])
    _needs_same_rest(read, text)
    return text


def _end_of_comments(lines: list[str], start: int, depth: int, tells: Callable[[str], bool]) -> int:
    """Where what follows the people begins: a comment on them goes, one right above the next key stays."""
    end, run = start, True
    for number in range(start, len(lines)):
        if not lines[number].strip():
            end, run = (number if run else end), False
        elif not _is_comment(lines[number]):
            return end
        elif (
            tells(lines[number]) or _indentation(lines[number]) > depth or (run and _indentation(lines[number]) < depth)
        ):
            end = number + 1
    return len(lines) if run else end


def _people_nodes(text: str) -> tuple[yaml.Node, yaml.Node]:
    root: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    course = next(value for key, value in root.value if key.value == "course")
    return next((key, value) for key, value in course.value if key.value == "people")


def _last_line(node: yaml.Node) -> int:
    # A block's own end is where the next key begins, with all comments before that.
    while isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        node = node.value[-1][1] if isinstance(node, yaml.MappingNode) else node.value[-1]
    line: int = node.end_mark.line
    return line - 1 if node.end_mark.column == 0 and line > node.start_mark.line else line


def _needs_same_rest(read: courses.Source, text: str) -> None:
    """Refuse a text that is not the file without its people, as when they share a line with something else."""
    wanted = {**read.data, "course": {key: value for key, value in read.data["course"].items() if key != "people"}}
    try:
        same = courses.Source(read.path, read.shown, text).data == wanted
    except CoursehubError:
        same = False
    if not same:
        raise CoursehubError(
            f"{read.at('course', 'people')}: the people cannot be cut out of what stands around them; put people: and "
            "what belongs to it on lines of their own",
            exit_code=USAGE,
        )


def _replace(path: Path, text: str) -> None:
    """Write a file of the repository anew, whole or not at all, with the mode that it has."""
    unfinished = path.with_name(f".{path.name}.new")
    unfinished.write_bytes(text.encode())
    shutil.copymode(path, unfinished)
    unfinished.replace(path)


def _is_comment(line: str) -> bool:
    return line.lstrip().startswith("#")


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
