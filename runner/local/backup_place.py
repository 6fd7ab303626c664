"""The place of a local course's backups on this computer, and its passwords."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from pathlib import Path

from runner.files import write_private


@dataclass(frozen=True)
class Place:
    """One course's repository on this computer, with its passwords."""

    course_id: str
    password: str
    """Of the repository."""
    token: str
    """Of the HTTP server."""

    def repository(self, address: str) -> str:
        """The repository in restic's notation, for a server that reaches it at ``address`` (``host:port``)."""
        return f"rest:http://{self.course_id}:{self.token}@{address}/{self.course_id}/"


def root_of(state: Path) -> Path:
    """The directory of all courses' backups. ``down`` and ``local stop`` do not touch it."""
    return state / "backups"


def ensure(state: Path, course_id: str) -> Place:
    """The course's place. The first call makes it."""
    path = root_of(state) / f"{course_id}.json"
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(path, json.dumps({"password": secrets.token_urlsafe(32), "token": secrets.token_urlsafe(32)}))
    given = json.loads(path.read_text())
    return Place(course_id, given["password"], given["token"])
