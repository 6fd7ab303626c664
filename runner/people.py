"""Who is in a course: from its own file, or from its encrypted class list; and which account each person gets.

The class list is one encrypted message, so that git shows no name, and not even who changed.
"""

from __future__ import annotations

import base64
import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

import yaml
from anyascii import anyascii
from pydantic import Field, ValidationError

from runner.classlist import Entry, clean
from runner.course.facts import Facts
from runner.course.model import Course
from runner.course.people import RESERVED, TEAM_PREFIX, People, Person
from runner.course.source import LOADER
from runner.errors import USAGE, CoursehubError
from runner.project import Project
from runner.vault import Vault

Role = Literal["professors", "assistants", "students", "guests"]
#: Highest first: who is in a file twice gets the higher role.
ROLES: tuple[Role, ...] = get_args(Role)
#: Bytes of an account's name that utmp has room for (useradd(8)).
ACCOUNT_LENGTH = 32
#: Letters of a digest that tell apart two people who would get one account: 25 bits, and looked at again if taken.
_DIGEST = 5

_MESSAGE_HEAD = "#!gpg|yaml\n"
_YAML_OUT: type = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class ClassList(Facts):
    """The people of a course by role, and who has left: their accounts are nobody else's for the rest of the term."""

    professors: list[Person] = Field(default=[])
    assistants: list[Person] = Field(default=[])
    students: list[Person] = Field(default=[])
    guests: list[Person] = Field(default=[])
    left: list[Person] = Field(default=[])

    def role(self, role: Role) -> list[Person]:
        """The people of one role."""
        people: list[Person] = getattr(self, role)
        return people

    def present(self) -> Iterator[tuple[Role, Person]]:
        """Everybody who may sign in, with the role."""
        for role in ROLES:
            for person in self.role(role):
                yield role, person

    def accounts(self) -> set[str]:
        """All accounts that were ever given in this course."""
        return {person.account for _, person in self.present()} | {person.account for person in self.left}


# -- where it is kept ------------------------------------------------------------------------------------


def people_of(project: Project, course_id: str, course: Course) -> People:
    """The people of a course, wherever they are kept.

    Raises CoursehubError for a class list that this computer has no key for, that is damaged, or that has no
    professor.
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
    """The class list, empty when there is none yet. Raises CoursehubError as ``people_of`` does."""
    path = project.people_file(course_id)
    if not path.exists():
        return ClassList()
    shown = project.shown(path)
    text = Vault(project).decrypt(path.read_text(encoding="utf-8", errors="replace"), shown)
    try:
        document = yaml.load(text, Loader=LOADER)  # noqa: S506  # LOADER is PyYAML's safe one
        return ClassList.model_validate({**document["people"], "left": document.get("left") or []})
    except (yaml.YAMLError, ValidationError, TypeError, KeyError) as error:
        # What stands there must not be shown: it is people's names.
        raise CoursehubError(
            f"{shown} does not hold a class list; take the last good version from git, or remove it and import the "
            "class list again"
        ) from error


def write(project: Project, course_id: str, listed: ClassList) -> None:
    """Encrypt the class list for all teachers, whole or not at all."""
    path = project.people_file(course_id)
    people = {role: [_plain(person) for person in listed.role(role)] for role in ROLES}
    document = {"people": people, "left": [_plain(person) for person in listed.left]}
    text = yaml.dump(document, Dumper=_YAML_OUT, allow_unicode=True, sort_keys=False, width=1000)
    encrypted = _MESSAGE_HEAD + Vault(project).encrypt(text)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.new")
    unfinished.write_text(encrypted, encoding="utf-8")
    unfinished.replace(path)


def _plain(person: Person) -> dict[str, object]:
    return {key: value for key, value in person.model_dump().items() if value}


# -- what a class list file changes ----------------------------------------------------------------------


@dataclass(frozen=True)
class Change:
    """What an import does: the list afterwards, who comes (or comes back), goes, and gets another role."""

    listed: ClassList
    comes: list[tuple[Role, Person]] = field(default_factory=list)
    returns: list[tuple[Role, Person]] = field(default_factory=list)
    goes: list[tuple[Role, Person]] = field(default_factory=list)
    moves: list[tuple[Role, Person]] = field(default_factory=list)

    @property
    def stays(self) -> int:
        """How many of those who may sign in afterwards could before, in the same role."""
        return len(list(self.listed.present())) - len(self.comes) - len(self.returns) - len(self.moves)

    @property
    def anything(self) -> bool:
        """Whether anybody comes, goes or moves."""
        return bool(self.comes or self.returns or self.goes or self.moves)


def merge(known: ClassList, entries: Sequence[Entry], *, role: Role | None = None, only_add: bool = False) -> Change:
    """Bring the class list to what a file says.

    Everybody in the file gets ``role``, or else the role that the file gives them, or else the one that they have, or
    else students. Whoever is not in the file leaves, unless ``only_add``, if they have one of the roles that the file
    states, or are students and it states none for some of its people; the other roles are not touched. People are
    known again by number, email address or login, or, where none of these is known yet, by the account or the name;
    they keep their account, and one who left gets the old one back.

    Raises CoursehubError when two lines of the file are one person in two minds, one account would be two people's, or
    no professor would be left.
    """
    index = _Index(known, entries)
    found = {entry.line: index.find(entry) for entry in entries}
    wanted = _by_person([(entry, role or entry.role or _role_of(found[entry.line]) or "students") for entry in entries])
    given = {role or entry.role or "students" for entry, _ in wanted}
    _no_two_lines_are_one_person(wanted, found)
    accounts = assign([entry for entry, _ in wanted if found[entry.line] is None], known.accounts())

    roles: dict[Role, list[Person]] = {one: [] for one in ROLES}
    change = Change(known)
    now: set[str] = set()
    for entry, listed_role in wanted:
        before = found[entry.line]
        person = _person(entry, accounts[entry.line] if before is None else before[1].account, before and before[1])
        now.add(person.account)
        roles[listed_role].append(person)
        if before is None:
            change.comes.append((listed_role, person))
        elif before[0] is None:
            change.returns.append((listed_role, person))
        elif before[0] != listed_role:
            change.moves.append((listed_role, person))
    left = [person for person in known.left if person.account not in now]
    for listed_role, person in known.present():
        if person.account in now:
            continue
        if listed_role in given and not only_add:
            change.goes.append((listed_role, person))
            left.append(person)
        else:
            roles[listed_role].append(person)
    listed = ClassList(**{one: sorted(roles[one], key=_alphabetical) for one in ROLES}, left=left)
    return replace(change, listed=_with_professor(known, listed))


def _role_of(found: tuple[Role | None, Person] | None) -> Role | None:
    return found[0] if found else None


def _with_professor(known: ClassList, listed: ClassList) -> ClassList:
    if known.professors and not listed.professors:
        raise CoursehubError(
            "this would leave the course without a professor; add the next one first, with "
            "'coursehub roster add COURSE professors'",
            exit_code=USAGE,
        )
    return listed


def remove(known: ClassList, account: str) -> Change:
    """Take one person out. Raises CoursehubError when nobody has that account, or no professor would be left."""
    goes = [(role, person) for role, person in known.present() if person.account == account]
    if not goes:
        raise CoursehubError(f"nobody in the class list has the account {account}; look with 'coursehub roster show'")
    people = {role: [person for person in known.role(role) if person.account != account] for role in ROLES}
    listed = ClassList(**people, left=[*known.left, goes[0][1]])
    return Change(_with_professor(known, listed), goes=goes)


def _person(entry: Entry, account: str, before: Person | None) -> Person:
    """What is known of a person after this line; what the file does not say stays as it was."""
    said = {"name": entry.name, "email": entry.email, "login": entry.login, "number": entry.number}
    said["github"] = entry.github
    groups = {} if entry.groups is None else {"groups": list(entry.groups)}
    known = _plain(before) if before else {}
    facts = {**known, "account": account, **{key: value for key, value in said.items() if value}, **groups}
    try:
        return Person.model_validate(facts)
    except ValidationError as error:
        # Which column, and not what stands in it: that is about a person.
        key = error.errors()[0]["loc"][0]
        raise CoursehubError(
            f"line {entry.line}: the {key} cannot be kept ({error.errors()[0]['msg']}); correct it in the file",
            exit_code=USAGE,
        ) from None


def _alphabetical(person: Person) -> tuple[str, str]:
    return (anyascii(person.name.rpartition(" ")[2]).casefold(), person.account)


#: How a person is known again, the surest first.
_MARKS: tuple[Callable[[Entry | Person], str | None], ...] = (
    lambda one: one.number and one.number.casefold(),
    lambda one: one.email and one.email.casefold(),
    lambda one: one.login and one.login.casefold(),
)


def _by_person(wanted: list[tuple[Entry, Role]]) -> list[tuple[Entry, Role]]:
    """One line a person: LMSs list who is in two sections, or has two roles, twice."""
    kept: dict[object, tuple[Entry, Role]] = {}
    for entry, role in wanted:
        before = kept.get(entry.identity)
        if before and not any(mark(entry) for mark in _MARKS):
            raise CoursehubError(
                f"lines {before[0].line} and {entry.line} have one name and nothing to tell two people apart; export "
                "the list with email addresses or numbers",
                exit_code=USAGE,
            )
        if before is None or ROLES.index(role) < ROLES.index(before[1]):
            kept[entry.identity] = (entry, role)
    return list(kept.values())


class _Index:
    """Finds a person of the class list by what a line of a file says."""

    def __init__(self, known: ClassList, entries: Sequence[Entry]) -> None:
        everyone: list[tuple[Role | None, Person]] = [*known.present(), *((None, person) for person in known.left)]
        self._by_mark: list[dict[str, tuple[Role | None, Person]]] = [
            {mark(one[1]) or "": one for one in reversed(everyone) if mark(one[1])} for mark in _MARKS
        ]
        unmarked = [one for one in everyone if not any(mark(one[1]) for mark in _MARKS)]
        self._by_name = {_name(one[1]): one for one in reversed(unmarked)}
        # The college's login may be somebody else's than the account: who has left is not known by it alone, as the
        # files would go along, and no teacher is, as a student would get the role.
        self._by_account = {one[1].account: one for one in unmarked if one[0] in ("students", "guests")}
        names_known = Counter(_name(one[1]) for one in unmarked)
        names_read = Counter(_name(entry) for entry in {entry.identity: entry for entry in entries}.values())
        self._one_has = {name for name, times in names_known.items() if times == names_read[name] == 1}

    def find(self, entry: Entry) -> tuple[Role | None, Person] | None:
        """The person with the role (None: has left), or None for a newcomer."""
        for position, (mark, known) in enumerate(zip(_MARKS, self._by_mark, strict=True)):
            found = known.get(mark(entry) or "")
            # An address or login that is somebody else's now: a surer mark tells.
            if found and all(
                not surer(entry) or surer(found[1]) in (None, surer(entry)) for surer in _MARKS[:position]
            ):
                return found
        name = _name(entry)
        if not any(mark(entry) for mark in _MARKS):
            return self._by_name.get(name)
        # Whoever was written down by hand, with account and name alone, gets the marks now.
        account = (entry.login or entry.email or "").partition("@")[0].casefold()
        return self._by_account.get(account) or (self._by_name[name] if name in self._one_has else None)


def _name(one: Entry | Person) -> str:
    return clean(one.name).casefold()


def _no_two_lines_are_one_person(
    wanted: list[tuple[Entry, Role]], found: dict[int, tuple[Role | None, Person] | None]
) -> None:
    seen: dict[str, int] = {}
    for entry, _ in wanted:
        one = found[entry.line]
        if one is None:
            continue
        if one[1].account in seen:
            raise CoursehubError(
                f"lines {seen[one[1].account]} and {entry.line} are both the person with the account {one[1].account}; "
                "correct the number, email address or login of one of them",
                exit_code=USAGE,
            )
        seen[one[1].account] = entry.line


# -- accounts --------------------------------------------------------------------------------------------


def assign(newcomers: Sequence[Entry], taken: Iterable[str]) -> dict[int, str]:
    """An account for each newcomer, by line: valid for useradd, of nobody else, whatever the order of the lines.

    A login or an address' local part that is an account already is taken as it is; others are written in its letters.
    Where two people would get one account, or it is taken, each gets a few letters of a digest of who it is behind it.
    """
    given: dict[int, str] = {}
    used = {*taken, *RESERVED}
    wishes = {entry.line: wish(entry) for entry in newcomers}
    as_they_are = {entry.line for entry in newcomers if _source(entry).casefold() == wishes[entry.line]}
    for exact in (True, False):
        group = [entry for entry in newcomers if (entry.line in as_they_are) == exact]
        count = Counter(wishes[entry.line] for entry in group)
        free = {name for name, times in count.items() if times == 1 and name not in used}
        for entry in group:
            if wishes[entry.line] in free:
                given[entry.line] = wishes[entry.line]
        used |= free
    for entry in sorted(newcomers, key=lambda one: repr(one.identity)):
        if entry.line not in given:
            given[entry.line] = _apart(wishes[entry.line], repr(entry.identity), used)
            used.add(given[entry.line])
    return given


def wish(entry: Entry) -> str:
    """The account that a person would get if there were nobody else."""
    text = anyascii(unicodedata.normalize("NFC", _source(entry))).lower()
    text = re.sub(r"[^a-z0-9_-]+", "-", text).strip("-")
    if not re.match(r"[a-z_]", text) or text.startswith(TEAM_PREFIX):
        text = f"s{text}"
    return text[:ACCOUNT_LENGTH].rstrip("-")


def _source(entry: Entry) -> str:
    """What the account is made from: the login, else the address' local part, else the name."""
    return (entry.login or entry.email or entry.name).partition("@")[0]


def _apart(name: str, identity: str, used: set[str]) -> str:
    for turn in range(1000):
        digest = hashlib.sha256(f"{turn}:{identity}".encode()).digest()
        letters = base64.b32encode(digest).decode().lower()[:_DIGEST]
        candidate = f"{name[: ACCOUNT_LENGTH - 1 - _DIGEST].rstrip('-')}-{letters}"
        if candidate not in used:
            return candidate
    raise CoursehubError(f"no account is left that begins with {name}; correct the logins in the file")
