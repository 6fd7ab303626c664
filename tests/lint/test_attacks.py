"""The attacks are documented: each docstring says what the attack tries and what stops it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ATTACKS = Path(__file__).resolve().parents[1] / "attacks"


def attacks() -> Iterator[tuple[str, str]]:
    """Each attack's name, with its file, and its docstring."""
    for path in sorted(ATTACKS.glob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                yield f"{path.name}::{node.name}", ast.get_docstring(node) or ""


def test_each_attack_says_what_it_tries_and_what_stops_it() -> None:
    silent = [
        name
        for name, text in attacks()
        if not (text.startswith("Tries: ") and any(line.startswith("Stopped by: ") for line in text.splitlines()))
    ]
    assert not silent, silent


def test_no_two_attacks_have_one_name() -> None:
    names = [name.partition("::")[2] for name, _ in attacks()]
    twice = {name for name in names if names.count(name) > 1}
    assert not twice, twice
