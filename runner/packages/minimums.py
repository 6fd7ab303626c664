"""The oldest versions that are safe to run: ``requirements/minimums.yaml`` and what it means for a resolution."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Literal

import yaml
from packaging.version import InvalidVersion, Version
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator, model_validator

from runner.errors import USAGE, CoursehubError

TABLE = Path("requirements/minimums.yaml")

#: Where a Python or npm package may be; Debian packages are in releases.
PLACES = {
    "python": ("controller", "tests", "hub", "proxy", "course", "audit"),
    "npm": ("proxy",),
}


class Minimum(BaseModel):
    """One line of the table: below ``minimum`` a known hole is open."""

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)

    name: str
    kind: Literal["python", "npm", "debian"]
    where: tuple[str, ...]
    minimum: str
    advisory: str
    date: datetime.date
    why: str
    #: No lock of ours has it, and a course may.
    optional: bool = False
    #: Since when it is known that no index has a safe version; None where one has.
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
    """The table. Raises CoursehubError (exit code 2) that names the line that is wrong by its package."""
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
    """What no resolution may go below, as uv reads it: a line for each Python package that has a safe version."""
    if not (root / TABLE).is_file():
        return ""
    rows = [row for row in load(root) if row.kind == "python" and row.waiting is None]
    return "".join(f"{row.name}>={row.minimum}\n" for row in rows)
