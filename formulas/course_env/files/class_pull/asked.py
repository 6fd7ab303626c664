"""What a link may ask for: one of the course's repositories, in the folder with its name, and then a page of Lab.

Anybody can put a link to a student's server on a page, and the student's browser follows it signed in. So a link only
chooses: the course decides where the material comes from and where it goes.
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
    """One of the course's repositories: its folder in each home, and where it is pulled from."""

    name: str
    url: str
    branch: str


class NotGiven(HTTPError):
    """A link asks for something that the course does not offer; the student reads ``advice``."""

    def __init__(self, advice: str) -> None:
        super().__init__(404, "A link asked for something that the course does not offer")
        self.advice = advice


@dataclass(frozen=True)
class Course:
    """The course's repositories by each address that a link may contain, and the sentence that says whom to ask."""

    by_address: dict[str, Repository]
    help: str

    def find(self, address: str, branch: str | None) -> Repository:
        """Return the repository that a link means. Raises NotGiven if it is not the course's."""
        found = self.by_address.get(_plain(address))
        if found is None:
            raise NotGiven(f"This link does not belong to your course. {self.help}")
        if branch not in (None, "", found.branch):
            raise NotGiven(f"Your course does not offer this branch of {found.name}. {self.help}")
        return found


def course(path: str) -> Course:
    """Return the course's repositories; none if there is no such file.

    The file is read at each click, so a new repository needs no restart of a student's server.
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
    """Return the page that a link asks for, if it is one of Jupyter's own pages in this server; otherwise None.

    The browser goes there from our page. To the hub and to other services this would look like the student's own click,
    so no link may lead out of this server with ``..``, in any spelling.
    """
    path, letters = urlsplit(asked).path, asked
    for _ in range(3):
        if "\\" in letters or any(ord(letter) < 32 for letter in letters) or {".", ".."} & set(path.split("/")):
            return None
        path, letters = unquote(path), unquote(letters)
    return asked.lstrip("/") if _PAGES.match(asked) else None


def _plain(address: str) -> str:
    return address.rstrip("/").removesuffix(".git")
