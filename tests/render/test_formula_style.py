"""The rules of docs/formulas.md that can be checked in the files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.render.conftest import FORMULAS
from tests.render.rendering import ROOT

pytestmark = pytest.mark.render

GUIDE = (ROOT / "docs/formulas.md").read_text()
MAP = GUIDE.partition("```jinja\n")[2].partition("```")[0]
STATES = sorted((ROOT / "formulas").glob("*/*.sls"))


@pytest.mark.parametrize("formula", FORMULAS)
def test_map_is_the_one_of_the_guide(formula: str) -> None:
    text = (ROOT / "formulas" / formula / "map.jinja").read_text()
    assert MAP.count("\n") <= 6
    assert text.startswith(MAP.replace("NAME", formula))
    # Only accesses outside of the pillar may follow.
    assert "salt[" not in text.removeprefix(MAP.replace("NAME", formula))


@pytest.mark.parametrize("path", STATES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_states_have_one_dialect(path: Path) -> None:
    above = ""
    for number, line in enumerate(path.read_text().splitlines(), 1):
        where = f"{path.relative_to(ROOT)}:{number}: {line}"
        assert not re.match(r" +\{%|\{% ", line), f"{where}: a tag begins with {{%- at the start of the line"
        assert "tojson" not in line, f"{where}: write | json"
        # Eight spaces are right only below a name with arguments of its own.
        if re.match(r" {6}- ", line) or re.match(r" {4}- ", line):
            above = line
        elif re.match(r" {8,}- ", line):
            assert re.match(r" {6}- .+:$", above), f"{where}: two spaces to the right of the key's dash"
        assert not re.match(r"\{%- from .*map\.jinja' import \w+", line) or "with context" in line, where


def test_nginx_formula_knows_no_path_of_jupyterhub() -> None:
    for path in (ROOT / "formulas/nginx").glob("**/*"):
        if path.is_file() and path.name not in ("README.md", "pillar.example"):
            assert re.findall(r"/hub/|/user/|/services/|/api/users", path.read_text()) == [], path


def test_pillar_reads_like_a_table() -> None:
    """Loops are in pillar/hub/, in short files."""
    table = (ROOT / "pillar/hub.sls").read_text()
    assert re.findall(r"\{%-? *(?:for|do) ", table) == []
    for path in (ROOT / "pillar/hub").iterdir():
        assert path.read_text().count("\n") <= 60, path
