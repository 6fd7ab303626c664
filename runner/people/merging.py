"""Merges a class list file into the class list of a course."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from anyascii import anyascii
from pydantic import ValidationError

from runner.classlist import Entry
from runner.classlist.duplicates import lines, one_line_each
from runner.course.people import Person
from runner.course.roles import ROLES, STAFF, Role
from runner.errors import USAGE, CoursehubError
from runner.people.accounts import assign
from runner.people.finding import Found, Index, share_a_word
from runner.people.listed import ClassList, plain


@dataclass(frozen=True)
class Change:
    """The result of an import or an edit: the new list, and who is added, returns, leaves, or changes.

    ``changes`` are people who stay, before and after. ``notes`` are for reading; ``doubts`` are questions that must be
    answered before anything is written.
    """

    listed: ClassList
    comes: list[tuple[Role, Person]] = field(default_factory=list)
    returns: list[tuple[Role, Person]] = field(default_factory=list)
    goes: list[tuple[Role, Person]] = field(default_factory=list)
    moves: list[tuple[Role, Person]] = field(default_factory=list)
    changes: list[tuple[Person, Person]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)

    @property
    def stays(self) -> int:
        """The number of people who could sign in before and still can, with the same role."""
        return len(list(self.listed.present())) - len(self.comes) - len(self.returns) - len(self.moves)

    @property
    def anything(self) -> bool:
        """Whether the list changes at all."""
        return bool(self.comes or self.returns or self.goes or self.moves or self.changes)


def merge(known: ClassList, entries: Sequence[Entry], *, role: Role | None = None, only_add: bool = False) -> Change:
    """Merge a file into the class list.

    Everybody in the file gets ``role``, or else the role in the file, or else their present one, or else students.
    People who are not in the file leave, unless ``only_add``, if they have one of the roles that the file states, or if
    they are students and the file states no role for some of its people; other roles are not changed. People are
    recognised by number, email address or login; students who have none of these yet by name or account. They keep
    their account, and people who return get their old one back. The facts of a professor or an assistant change only if
    the role is stated on that line; a professor's never change, because the email address is a sign-in.

    Raises CoursehubError if lines of the file contradict each other, if two people would get one account, or if no
    professor would be left.
    """
    entries, doubts = one_line_each([replace(entry, role=role or entry.role) for entry in entries])
    index = Index(known, entries, doubts)
    found = {entry.line: index.find(entry) for entry in entries}
    given: set[Role] = {entry.role or "students" for entry in entries}
    _no_two_lines_are_one_person(entries, found)
    accounts = assign([entry for entry in entries if found[entry.line] is None], known.accounts())

    roles: dict[Role, list[Person]] = {one: [] for one in ROLES}
    change = Change(known, doubts=index.doubts)
    now: set[str] = set()
    for entry in entries:
        before = found[entry.line]
        if before is not None and _is_left_alone(entry, before, change):
            now.add(before[1].account)
            roles[before[0] or "students"].append(before[1])
            continue
        person = _person(entry, accounts[entry.line] if before is None else before[1].account, before and before[1])
        now.add(person.account)
        listed_role = entry.role or (before and before[0]) or "students"
        roles[listed_role].append(person)
        _note(change, before, listed_role, person)
        if before and not role and before[0] not in STAFF and listed_role in STAFF:
            change.doubts.append(f"line {entry.line} makes {person.account} one of the {listed_role}: is that right?")
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


def _is_left_alone(entry: Entry, before: Found, change: Change) -> bool:
    """Whether a line is about a member of the staff whom an import must not change; differences are reported."""
    role, person = before
    if role not in STAFF or (entry.role and (role, entry.role) != ("professors", "professors")):
        return False
    if not share_a_word(entry.name, person.name):
        change.doubts.append(
            f"line {entry.line} has the number, email address or login of {person.account}, who is among the {role}, "
            "and another name: nothing is changed by it. Is one of the two wrong?"
        )
    elif _person(entry, person.account, person) != person:
        change.notes.append(
            f"line {entry.line} is {person.account}, who is among the {role} and stays as they are; an import does not "
            f"change them, 'coursehub roster edit COURSE {person.account}' does"
        )
    return True


def _note(change: Change, before: Found | None, role: Role, person: Person) -> None:
    if before is None:
        change.comes.append((role, person))
        return
    if before[0] is None:
        change.returns.append((role, person))
    elif before[0] != role:
        change.moves.append((role, person))
    if before[1] != person:
        change.changes.append((before[1], person))


def _with_professor(known: ClassList, listed: ClassList) -> ClassList:
    if known.professors and not listed.professors:
        raise CoursehubError(
            "this would leave the course without a professor; add the next one first, with "
            "'coursehub roster add COURSE professors'",
            exit_code=USAGE,
        )
    return listed


def remove(known: ClassList, account: str) -> Change:
    """Remove one person. Raises CoursehubError if nobody has that account, or if no professor would be left."""
    role, person = known.holder(account)
    people = {one: [other for other in known.role(one) if other.account != account] for one in ROLES}
    listed = ClassList(**people, left=[*known.left, person])
    return Change(_with_professor(known, listed), goes=[(role, person)])


def edit(known: ClassList, account: str, facts: dict[str, object], *, role: Role | None = None) -> Change:
    """Change the facts about one person; a fact of None or "" is removed.

    Raises CoursehubError if nobody has that account, a fact is invalid, a number, email address or login belongs to
    somebody else, or no professor would be left.
    """
    before_role, before = known.holder(account)
    kept = {key: value for key, value in {**plain(before), **facts}.items() if value}
    try:
        person = Person.model_validate(kept)
    except ValidationError as error:
        what = error.errors()[0]
        raise CoursehubError(
            f"the {what['loc'][0]} cannot be kept: {what['msg'].removeprefix('Value error, ')}", exit_code=USAGE
        ) from None
    for kind in ("email", "login", "number"):
        value = getattr(person, kind)
        other = next(
            (
                one.account
                for _, one in known.present()
                if value and one.account != account and (getattr(one, kind) or "").casefold() == value.casefold()
            ),
            None,
        )
        if other:
            raise CoursehubError(f"the {kind} is {other}'s already; give each their own", exit_code=USAGE)
    role = role or before_role
    people = {one: [other for other in known.role(one) if other.account != account] for one in ROLES}
    people[role] = sorted([*people[role], person], key=_alphabetical)
    change = Change(_with_professor(known, ClassList(**people, left=known.left)))
    _note(change, (before_role, before), role, person)
    return change


def _person(entry: Entry, account: str, before: Person | None) -> Person:
    """The facts about a person after this line; facts that are not in the file are kept."""
    said = {"name": entry.name, "email": entry.email, "login": entry.login, "number": entry.number}
    said["github"] = entry.github
    groups = {} if entry.groups is None else {"groups": list(entry.groups)}
    known = plain(before) if before else {}
    facts = {**known, "account": account, **{key: value for key, value in said.items() if value}, **groups}
    try:
        return Person.model_validate(facts)
    except ValidationError as error:
        # Only the column: its value is personal.
        key = error.errors()[0]["loc"][0]
        raise CoursehubError(
            f"line {entry.line}: the {key} cannot be kept ({error.errors()[0]['msg']}); correct it in the file",
            exit_code=USAGE,
        ) from None


def _alphabetical(person: Person) -> tuple[str, str]:
    return (anyascii(person.name.rpartition(" ")[2]).casefold(), person.account)


def _no_two_lines_are_one_person(entries: Sequence[Entry], found: dict[int, Found | None]) -> None:
    seen: dict[str, Entry] = {}
    for entry in entries:
        one = found[entry.line]
        if one is None:
            continue
        if one[1].account in seen:
            raise CoursehubError(
                f"{lines([seen[one[1].account], entry])} are both the person with the account {one[1].account}; "
                "correct the number, email address or login of one of them",
                exit_code=USAGE,
            )
        seen[one[1].account] = entry
