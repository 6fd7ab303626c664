"""Matches lines of a file with people of the class list."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from runner.classlist import Entry
from runner.classlist.text import plain
from runner.course.people import Person
from runner.course.roles import STAFF, Role
from runner.people.listed import ClassList

#: A person with the role; None means: has left.
Found = tuple[Role | None, Person]

#: How a person is recognised, the most reliable property first.
_MARKS: tuple[Callable[[Entry | Person], str | None], ...] = (
    lambda one: one.number and one.number.casefold(),
    lambda one: one.email and one.email.casefold(),
    lambda one: one.login and one.login.casefold(),
)


def is_marked(one: Entry | Person) -> bool:
    """Whether a number, an email address or a login identifies the person."""
    return any(mark(one) for mark in _MARKS)


def share_a_word(one: str, other: str) -> bool:
    """Whether two names could be one person's: "Ann Lee" and "Ann Miller" could, "Ann Lee" and "Ben Ito" could not."""
    words = [{plain(word) for word in name.replace("-", " ").split() if plain(word)} for name in (one, other)]
    return bool(words[0] & words[1]) or plain(one) == plain(other)


@dataclass
class Index:
    """Finds people by number, email address or login; by account or name only students who have none of these.

    A professor or an assistant is never found by name or account: a student with that name would get the role.
    ``doubts`` collects questions that only a person can answer.
    """

    known: ClassList
    entries: Sequence[Entry]
    doubts: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        everyone: list[Found] = [*self.known.present(), *((None, person) for person in self.known.left)]
        self._by_mark: list[dict[str, Found]] = [
            {mark(one[1]) or "": one for one in reversed(everyone) if mark(one[1])} for mark in _MARKS
        ]
        unmarked = [one for one in everyone if not is_marked(one[1]) and one[0] not in STAFF]
        self._staff = [one for one in everyone if one[0] in STAFF]
        # The college may have given that login to somebody else. People who left are not recognised by it alone,
        # because the newcomer would get their files.
        self._by_account = {one[1].account: one for one in unmarked if one[0] is not None}
        self._by_name = {_name(one[1]): one for one in reversed(unmarked)}
        known = Counter(_name(one[1]) for one in everyone if one[0] is not None or not is_marked(one[1]))
        read = Counter(_name(entry) for entry in self.entries)
        self._one_has = {name for name, times in known.items() if times == read[name] == 1}

    def find(self, entry: Entry) -> Found | None:
        """The person, or None for a newcomer."""
        found = self._by_marks(entry) or self._by_hand(entry)
        if found is None:
            self._ask_about_namesakes(entry)
        elif found[0] not in STAFF and not share_a_word(entry.name, found[1].name):
            self.doubts.append(
                f"line {entry.line} has another name than {found[1].account} had: is it the same person? The files "
                "stay with the account"
            )
        return found

    def _by_marks(self, entry: Entry) -> Found | None:
        for position, (mark, known) in enumerate(zip(_MARKS, self._by_mark, strict=True)):
            found = known.get(mark(entry) or "")
            # The address or login belongs to somebody else now, as a more reliable property shows.
            if found and all(
                not surer(entry) or surer(found[1]) in (None, surer(entry)) for surer in _MARKS[:position]
            ):
                return found
        return None

    def _by_hand(self, entry: Entry) -> Found | None:
        """People who were entered by hand, with account and name only, get their other properties now."""
        name = _name(entry)
        if name in self._one_has and name in self._by_name:
            return self._by_name[name]
        account = (entry.login or entry.email or "").partition("@")[0].casefold()
        found = self._by_account.get(account)
        if found and not share_a_word(entry.name, found[1].name):
            self.doubts.append(
                f"line {entry.line} has the login of {found[1].account} and another name: taken for somebody else. If "
                f"it is the same person, run 'coursehub roster edit COURSE {found[1].account}' first"
            )
            return None
        return found

    def _ask_about_namesakes(self, entry: Entry) -> None:
        """A professor without an email address may be the person on this line, or a student may have the same name."""
        for role, person in self._staff:
            if role and not is_marked(person) and _words(person.name) == _words(entry.name):
                self.doubts.append(
                    f"line {entry.line} has the name of {person.account}, who is among the {role} and has no email "
                    f"address here: taken for somebody else. If it is the same person, answer no, run 'coursehub "
                    f"roster edit COURSE {person.account}' and import again"
                )


def _name(one: Entry | Person) -> str:
    return plain(one.name)


def _words(name: str) -> frozenset[str]:
    return frozenset(_split(name))


def _split(name: str) -> Iterator[str]:
    return (plain(word) for word in name.split() if plain(word))
