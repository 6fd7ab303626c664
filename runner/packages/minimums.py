"""The oldest safe versions: ``requirements/minimums.yaml``, and the constraints that follow from it."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Literal

import yaml
from packaging.version import InvalidVersion, Version
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator, model_validator

from runner.errors import USAGE, CoursehubError

TABLE = Path("requirements/minimums.yaml")

#: The places of Python and npm packages; Debian packages are listed under releases.
PLACES = {
    "python": ("controller", "tests", "hub", "proxy", "course", "audit"),
    "npm": ("proxy",),
}


class Minimum(BaseModel):
    """One line of the table: versions below ``minimum`` have a known vulnerability."""

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)

    name: str
    kind: Literal["python", "npm", "debian"]
    where: tuple[str, ...]
    minimum: str
    advisory: str
    date: datetime.date
    why: str
    #: True if no lock of ours has it, but a course may.
    optional: bool = False
    #: The date since which no index has a safe version; None if there is one.
    waiting: datetime.date | None = None

    @field_validator("name", "advisory", "why")
    @classmethod
    def _said(cls, text: str) -> str:
        if not text.strip():
            raise ValueError("must not be empty")
        return text

    @model_validator(mode="after")
    def _known(self) -> Minimum:
        for place in self.where:
            if place not in PLACES.get(self.kind, (place,)):
                raise ValueError(f"{place!r} is no place of kind {self.kind}")
        if self.kind != "debian":
            try:
                Version(self.minimum)
            except InvalidVersion as error:
                raise ValueError(str(error)) from None
        return self


def load(root: Path) -> list[Minimum]:
    """Read the table. Raises CoursehubError (exit code 2) that names the package with a wrong line."""
    path = root / TABLE
    rows = yaml.safe_load(path.read_text(encoding="utf-8"))["minimums"]
    found = []
    for row in rows:
        try:
            found.append(Minimum.model_validate(row))
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(str(part) for part in first["loc"])
            raise CoursehubError(
                f"{TABLE}: {row.get('name', 'a line without a name')}: {key} {first['msg']}; correct it",
                exit_code=USAGE,
            ) from None
    return found


def constraints(root: Path) -> str:
    """Lower bounds for every resolution, in uv's format: one line for each Python package that has a safe version."""
    if not (root / TABLE).is_file():
        return ""
    rows = [row for row in load(root) if row.kind == "python" and row.waiting is None]
    return "".join(f"{row.name}>={row.minimum}\n" for row in rows)
