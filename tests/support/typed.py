"""Runs a verb, as typed, in the test's own process."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from runner.cli import main as cli


@dataclass(frozen=True)
class Ended:
    """How a verb ended: ``line`` is the last line that a person saw."""

    code: int
    out: str
    err: str

    @property
    def line(self) -> str:
        return self.err.strip().splitlines()[-1] if self.err.strip() else ""

    @property
    def document(self) -> Any:
        return json.loads(self.out)


def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> Ended:
    """Run ``coursehub ARGUMENTS``; a traceback fails the test."""
    capsys.readouterr()
    monkeypatch.setattr("sys.argv", ["coursehub", *arguments])
    try:
        cli.main()
        code = 0
    except SystemExit as leave:
        code = int(leave.code or 0)
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err, captured.err
    return Ended(code, captured.out, captured.err)
