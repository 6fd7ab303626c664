"""What a link may ask for: one of the course's repositories, in the folder of its name, and a page of Lab after it.

Anybody can put a link to a student's server on a page of theirs, and the student's browser follows it signed in. So a
link only chooses: where the material comes from and where it goes is said by the course.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from tornado.web import HTTPError

#: Pages of Jupyter that a link may open after the pull.
_PAGES = re.compile(r"/?(lab|tree|notebooks|edit|doc|view)(?=[/?]|$)")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Repository:
    """One of the course's repositories: the folder that it has in each home, and where it is pulled from."""

    name: str
    url: str
    branch: str


class NotGiven(HTTPError):
    """A link asks for what the course does not give out; ``advice`` is read by the student."""

    def __init__(self, advice: str) -> None:
        super().__init__(404, "A link asked for what the course does not give out")
        self.advice = advice


@dataclass(frozen=True)
class Course:
    """The course's repositories by each address that a link may give, and the sentence that says whom to ask."""

    by_address: dict[str, Repository]
    help: str

    def find(self, address: str, branch: str | None) -> Repository:
        """Return the repository that a link means. Raises NotGiven for one that is not the course's."""
        found = self.by_address.get(_plain(address))
        if found is None:
            raise NotGiven(f"This link is not of your course. {self.help}")
        if branch not in (None, "", found.branch):
            raise NotGiven(f"Your course does not give out this branch of {found.name}. {self.help}")
        return found


def course(path: str) -> Course:
    """Read what the course gives out; nothing where there is no such file.

    Read at each click, so that a new repository needs no restart of a student's server.
    """
    try:
        given: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        given = {}
    found: dict[str, Repository] = {}
    for name, one in given.get("repositories", {}).items():
        if _NAME.fullmatch(name):
            repository = Repository(name, one["url"], one["branch"])
            found |= {_plain(address): repository for address in (one["url"], *one.get("also", []))}
    contact = given.get("help")
    return Course(found, f"For help: {contact}" if contact else "Ask your professor.")


def page(asked: str) -> str | None:
    """Return the page that a link asks for, if it is one of Jupyter's own that is in this server; else None.

    The browser goes there from a page of ours: for the hub and for other services that would be a click of the
    student's, so no link may lead out of this server by ``..``, however it is spelled.
    """
    path, letters = urlsplit(asked).path, asked
    for _ in range(3):
        if "\\" in letters or any(ord(letter) < 32 for letter in letters) or {".", ".."} & set(path.split("/")):
            return None
        path, letters = unquote(path), unquote(letters)
    return asked.lstrip("/") if _PAGES.match(asked) else None


def _plain(address: str) -> str:
    return address.rstrip("/").removesuffix(".git")
