"""Programs that a test puts in place of the host's: they record their arguments and give fixed answers."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path

import pytest

RECORD = """#!/bin/sh
for word in "$@"; do printf '%s\\0' "$word"; done >>{calls}
printf '\\n' >>{calls}
{body}
"""


def unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not measure coverage in programs that are started from here on."""
    for name in [name for name in os.environ if name.startswith("COVERAGE_")]:
        monkeypatch.delenv(name)


@dataclass
class Programs:
    """A directory of programs before the host's own on PATH, or with ``alone`` instead of them."""

    directory: Path

    @classmethod
    def install(cls, directory: Path, monkeypatch: pytest.MonkeyPatch, *, alone: bool = False) -> Programs:
        directory.mkdir()
        monkeypatch.setenv("PATH", str(directory) if alone else f"{directory}:{os.environ['PATH']}")
        return cls(directory)

    def add(self, name: str, body: str = "") -> None:
        """Add a shell script; every call is recorded before ``body`` runs."""
        calls = shlex.quote(str(self.directory / f"{name}.calls"))
        path = self.directory / name
        path.write_text(RECORD.format(calls=calls, body=body), encoding="utf-8")
        path.chmod(0o755)

    def calls(self, name: str) -> list[list[str]]:
        """The arguments of each call, oldest first."""
        path = self.directory / f"{name}.calls"
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        return [line.split("\0")[:-1] for line in text.split("\n")[:-1]]
