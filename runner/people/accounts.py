"""Account names for new people: valid, unique, and always the same for the same list."""

from __future__ import annotations

import base64
import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

from anyascii import anyascii

from runner.agreed import TEAM_PREFIX
from runner.classlist.entry import Entry
from runner.course.people import RESERVED
from runner.errors import CoursehubError

#: utmp has room for this many bytes of an account's name (useradd(8)).
ACCOUNT_LENGTH = 32
#: Letters of the digest that tells two people apart who would get the same account: 25 bits. Collisions are checked.
_DIGEST = 5


def assign(newcomers: Sequence[Entry], taken: Iterable[str]) -> dict[int, str]:
    """An account for each new person, by line: valid for useradd, unique, and independent of the order of the lines.

    A login or the local part of an address that is a valid account is used as it is; others are transliterated. If two
    people would get the same account, or it is taken, a few letters of a digest of the identity are appended.
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
    """The account that a person would get without any conflict."""
    text = anyascii(unicodedata.normalize("NFC", _source(entry))).lower()
    text = re.sub(r"[^a-z0-9_-]+", "-", text).strip("-")
    if not re.match(r"[a-z_]", text) or text.startswith(TEAM_PREFIX):
        text = f"s{text}"
    return text[:ACCOUNT_LENGTH].rstrip("-")


def _source(entry: Entry) -> str:
    """The source of the account: the login, else the address's local part, else the name."""
    return (entry.login or entry.email or entry.name).partition("@")[0]


def _apart(name: str, identity: str, used: set[str]) -> str:
    for turn in range(1000):
        digest = hashlib.sha256(f"{turn}:{identity}".encode()).digest()
        letters = base64.b32encode(digest).decode().lower()[:_DIGEST]
        candidate = f"{name[: ACCOUNT_LENGTH - 1 - _DIGEST].rstrip('-')}-{letters}"
        if candidate not in used:
            return candidate
    raise CoursehubError(f"no account is left that begins with {name}; correct the logins in the file")
