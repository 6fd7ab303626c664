"""The archives on this computer, in ``archives/COURSE/TIME/``: private, not in git, each with its record."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from runner.archive.zips import Made
from runner.errors import CoursehubError
from runner.files import write_private
from runner.project import Project

STUDENTS = "students"
_RECORD, _UNFINISHED = "archive.json", ".unfinished-"
_PIECE = 1 << 20


@dataclass(frozen=True)
class Record:
    """One archive that was read back."""

    course: str
    server: int
    """The droplet's id."""
    began: int
    """When the server began to pack, by its own clock, in seconds since 1970."""
    file: str
    sha256: str
    """Of the encrypted file."""
    bytes: int
    entries: int
    """Files, folders and links in it."""
    changed: int
    """Files that changed while they were read."""
    zips: tuple[Made, ...]

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def directory(project: Project, course_id: str) -> Path:
    """The private directory of a course's archives; it is made if it is missing."""
    for path in (project.archives, project.archives / course_id):
        path.mkdir(mode=0o700, exist_ok=True)
        path.chmod(0o700)
    return project.archives / course_id


def begin(project: Project, course_id: str) -> Path:
    """An empty directory for a new archive. What an interrupted run left is removed."""
    root = directory(project, course_id)
    for old in root.glob(f"{_UNFINISHED}*"):
        shutil.rmtree(old)
    made = root / f"{_UNFINISHED}{time.strftime('%Y-%m-%d-%H%M%S')}"
    (made / STUDENTS).mkdir(mode=0o700, parents=True)
    made.chmod(0o700)
    return made


def finish(unfinished: Path, record: Record, readme: str) -> Path:
    """Write the record, then give the directory its name: only a complete archive ever has it."""
    write_private(unfinished / "README.txt", readme)
    write_private(unfinished / _RECORD, json.dumps(record.document(), indent=1))
    return unfinished.rename(unfinished.with_name(unfinished.name.removeprefix(_UNFINISHED)))


def newest(project: Project, course_id: str) -> tuple[Path, Record] | None:
    """The course's newest archive."""
    return next(_all(project, course_id), None)


def _all(project: Project, course_id: str) -> Iterator[tuple[Path, Record]]:
    for path in sorted((project.archives / course_id).glob(f"[0-9]*/{_RECORD}"), reverse=True):
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            yield path.parent, Record(**{**found, "zips": tuple(Made(**one) for one in found["zips"])})
        except (OSError, ValueError, TypeError, KeyError):
            raise CoursehubError(
                f"{project.shown(path)} is damaged; take a copy of it, or make a new archive"
            ) from None


def need_whole(project: Project, place: Path, record: Record) -> None:
    """Read the encrypted file. Raises CoursehubError if it is not as it was when it was verified."""
    path = place / record.file
    try:
        if digest(path) == record.sha256:
            return
        why = "has changed since it was made"
    except OSError as error:
        why = f"cannot be read ({error.strerror})"
    raise CoursehubError(f"{project.shown(path)} {why}; run 'coursehub archive {record.course}' for a new one")


def digest(path: Path) -> str:
    """The SHA-256 of a file of any size. Raises OSError."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            found.update(piece)
    return found.hexdigest()
