"""Who is in a course, from the course file or the encrypted class list.

The class list is one encrypted message: git shows no name, and not even who changed.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator

import yaml
from pydantic import Field, ValidationError

from runner.course.facts import Facts
from runner.course.model import Course
from runner.course.people import People, Person
from runner.course.roles import ROLES, Role
from runner.course.source import LOADER
from runner.errors import USAGE, CoursehubError
from runner.files import write_whole
from runner.project import Project
from runner.secrets.vault import Vault

_MESSAGE_HEAD = "#!gpg|yaml\n"
_YAML_OUT: type = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class ClassList(Facts):
    """The people of a course by role, and people who left: their accounts stay reserved for the term."""

    professors: list[Person] = Field(default=[])
    assistants: list[Person] = Field(default=[])
    students: list[Person] = Field(default=[])
    guests: list[Person] = Field(default=[])
    left: list[Person] = Field(default=[])

    def role(self, role: Role) -> list[Person]:
        """The people with one role."""
        people: list[Person] = getattr(self, role)
        return people

    def present(self) -> Iterator[tuple[Role, Person]]:
        """Everybody who may sign in, with the role."""
        for role in ROLES:
            for person in self.role(role):
                yield role, person

    def accounts(self) -> set[str]:
        """All accounts that were ever used in this course."""
        return {person.account for _, person in self.present()} | {person.account for person in self.left}

    def holder(self, account: str) -> tuple[Role, Person]:
        """The person with an account, and the role.

        Raises CoursehubError (2) with the nearest account if there is none.
        """
        there = {person.account: (role, person) for role, person in self.present()}
        if account in there:
            return there[account]
        near = difflib.get_close_matches(account, there, n=1)
        hint = (
            f"did you mean {near[0]}?"
            if near
            else f"there are {len(there)} people with other accounts; 'coursehub roster show' lists them"
        )
        raise CoursehubError(f"nobody in the class list has the account {account}; {hint}", exit_code=USAGE)


def people_of(project: Project, course_id: str, course: Course) -> People:
    """The people of a course, wherever they are stored.

    Raises CoursehubError if this computer has no key for the class list, if it is damaged, or if it has no professor.
    """
    if course.people is not None:
        return course.people
    listed = read(project, course_id)
    shown = project.shown(project.people_file(course_id))
    if not listed.professors:
        raise CoursehubError(
            f"{shown} has no professor yet; add one with 'coursehub roster add {course_id} professors'", exit_code=USAGE
        )
    try:
        return People(**{role: listed.role(role) for role in ROLES})
    except ValidationError as error:
        said = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise CoursehubError(
            f"{shown}: {said}; take the last good version from git, or remove it and import the class list again",
            exit_code=USAGE,
        ) from error


def read(project: Project, course_id: str) -> ClassList:
    """The class list; empty if there is none yet. Raises CoursehubError like ``people_of``."""
    path = project.people_file(course_id)
    if not path.exists():
        return ClassList()
    shown = project.shown(path)
    text = Vault(project).decrypt(path.read_text(encoding="utf-8", errors="replace"), shown)
    try:
        document = yaml.load(text, Loader=LOADER)  # noqa: S506  # LOADER is PyYAML's safe one
        return ClassList.model_validate({**document["people"], "left": document.get("left") or []})
    except (yaml.YAMLError, ValidationError, TypeError, KeyError) as error:
        # The content must not be shown: it has people's names.
        raise CoursehubError(
            f"{shown} does not hold a class list; take the last good version from git, or remove it and import the "
            "class list again"
        ) from error


def write(project: Project, course_id: str, listed: ClassList) -> None:
    """Encrypt the class list for all teachers and write it atomically."""
    path = project.people_file(course_id)
    people = {role: [plain(person) for person in listed.role(role)] for role in ROLES}
    document = {"people": people, "left": [plain(person) for person in listed.left]}
    text = yaml.dump(document, Dumper=_YAML_OUT, allow_unicode=True, sort_keys=False, width=1000)
    encrypted = _MESSAGE_HEAD + Vault(project).encrypt(text)
    write_whole(path, encrypted)


def plain(person: Person) -> dict[str, object]:
    """A person's known facts."""
    return {key: value for key, value in person.model_dump().items() if value}
