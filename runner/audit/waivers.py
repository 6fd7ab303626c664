"""Accepted findings, each with its reason: ``runner/audit/waivers.yaml``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from runner.errors import USAGE, CoursehubError

FILE = Path(__file__).with_name("waivers.yaml")
#: Minimum length of a reason.
SHORTEST_REASON = 20


class Waiver(BaseModel):
    """Findings of one scanner with a common reason. ``where`` container: only on machines of the local cloud."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    scanner: str
    findings: tuple[str, ...]
    where: Literal["everywhere", "container"]
    reason: str

    @field_validator("reason")
    @classmethod
    def _says_something(cls, text: str) -> str:
        if len(text.strip()) < SHORTEST_REASON:
            raise ValueError("must be a sentence that says why")
        return text


@dataclass
class Waivers:
    """The waivers for one server, and which of them were used."""

    rows: tuple[Waiver, ...]
    used: set[tuple[str, str]] = field(default_factory=set)

    @classmethod
    def load(cls, *, container: bool, path: Path = FILE) -> Waivers:
        """The waivers for a container or a real machine. Raises CoursehubError for a line without a reason."""
        found = []
        for row in yaml.safe_load(path.read_text(encoding="utf-8"))["waivers"]:
            try:
                waiver = Waiver.model_validate(row)
            except ValidationError as error:
                first = error.errors()[0]
                which = f"{row.get('scanner', '?')} {' '.join(row.get('findings', ['?']))}"
                key = ".".join(str(part) for part in first["loc"])
                raise CoursehubError(
                    f"{path.name}: {which}: {key}: {first['msg']}; correct it", exit_code=USAGE
                ) from None
            if container or waiver.where == "everywhere":
                found.append(waiver)
        return cls(tuple(found))

    def covers(self, scanner: str, finding: str) -> bool:
        """Whether a finding has a waiver."""
        for row in self.rows:
            if row.scanner == scanner and finding in row.findings:
                self.used.add((scanner, finding))
                return True
        return False

    def idle(self, scanners: set[str]) -> list[str]:
        """Waivers that matched nothing although their scanner ran; they can be deleted."""
        return [
            f"{row.scanner} {finding}"
            for row in self.rows
            for finding in row.findings
            if row.scanner in scanners and (row.scanner, finding) not in self.used
        ]
