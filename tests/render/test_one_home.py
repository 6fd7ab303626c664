"""Each fact has one place: pillar/server.sls for facts that two parts share, the model for a course's defaults."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from runner import agreed
from runner.course import defaults
from runner.course.people import RESERVED
from runner.hub import checks
from tests.render.rendering import ROOT, Rendering
from tests.render.test_house import tracked

pytestmark = pytest.mark.render

AGREED = yaml.safe_load((ROOT / "pillar/server.sls").read_text())
FACTS = AGREED["server"]
DEFAULTS = yaml.safe_load(defaults.text())
FORMULAS = {path.parent.name: yaml.safe_load(path.read_text()) for path in (ROOT / "formulas").glob("*/defaults.yaml")}
#: Ports that are more than our own services wherever they occur: SSH, HTTP, HTTPS.
WELL_KNOWN = set(agreed.PUBLIC_PORTS)
#: Where a formula gets a choice of the course that pillar/hub.sls does not simply hand over.
ELSEWHERE = {"nginx:site:upload_limit": "upload_limit", "jupyterhub:signin:claim": "signin.claim"}


def handed_over() -> dict[str, str]:
    """What pillar/hub.sls hands over as it is: a formula's key, and the course's key that it gets."""
    text = re.sub(r"\{%.*?%\}", "", (ROOT / "pillar/hub.sls").read_text())

    def marked(match: re.Match[str]) -> str:
        expression = match[1].removesuffix("| json ").strip()
        return f"'{expression}'" if re.fullmatch(r"course(\.\w+)+", expression) else "computed"

    document = yaml.safe_load(re.sub(r"\{\{(.*?)\}\}", marked, text))
    found = {path: value_at(document, path) for path in paths(document)}
    return {path: str(value)[7:] for path, value in found.items() if str(value).startswith("course.")}


def value_at(node: Any, path: str) -> Any:
    """The value at a path such as ``people:from_uid``; None if there is none."""
    for key in path.split(":"):
        node = node.get(key) if isinstance(node, dict) else None
    return node


def code() -> dict[Path, str]:
    """What is read or executed where the facts are known: runner, states, maps, defaults, pillar; no comments."""
    found = {}
    patterns = ("formulas/*/*.sls", "formulas/*/map.jinja", "formulas/*/defaults.yaml", "salt/hub/*.sls", "pillar/hub*")
    for path in tracked(*patterns, "pillar/site.sls"):
        lines = [line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
        found[path] = re.sub(r"\{#.*?#\}", "", "\n".join(lines), flags=re.DOTALL)
    for path in tracked("runner/**.py"):
        if path != ROOT / "runner/agreed.py":
            found[path] = ast.unparse(ast.parse(path.read_text()))
    return found


def values(node: Any) -> Iterator[Any]:
    """All leaves of a document."""
    if isinstance(node, dict | list):
        for below in node.values() if isinstance(node, dict) else node:
            yield from values(below)
    else:
        yield node


@pytest.mark.parametrize("path", [*FACTS["paths"].values(), *FACTS["urls"].values()])
def test_path_is_in_one_place(path: str) -> None:
    # A longer path, such as /opt/jupyterhub-old, is a different one.
    pattern = re.compile(rf"(?<![\w.-]){re.escape(path)}(?![\w.-])")
    # The runner uses this path for Python on this computer too.
    known = [name for name, text in code().items() if pattern.search(text)]
    if path == FACTS["paths"]["python"]:
        known = [name for name in known if "runner" not in name.parts and name.parent.name != "base"]
    # Debian's own place for homes is also a formula's default.
    if path == FACTS["paths"]["homes"]:
        known = [name for name in known if "runner" in name.parts]
    assert known == []


@pytest.mark.parametrize("port", sorted(set(values(FACTS["ports"])) - WELL_KNOWN))
def test_port_is_in_one_place(port: int) -> None:
    assert [path for path, text in code().items() if re.search(rf"(?<![\w.-]){port}(?![\w.-])", text)] == []


def test_every_port_of_ours_is_looked_at_from_outside() -> None:
    """``check`` tries all of them: those of pillar/server.sls, and every formula default that is a port."""
    ours = set(values(FACTS["ports"]))
    for document in FORMULAS.values():
        ours |= set(_ports(document))
    assert ours - WELL_KNOWN
    assert ours - WELL_KNOWN <= set(checks.INSIDE)


def _ports(node: Any) -> Iterator[int]:
    for key, value in node.items() if isinstance(node, dict) else ():
        if re.search(r"(^|_)ports?$", str(key)) and key != "no_ports":
            yield from (one for one in values(value) if isinstance(one, int))
        yield from _ports(value)


def test_no_formula_has_a_default_for_what_it_is_given() -> None:
    twice = [
        f"{formula}:{path}"
        for formula, document in FORMULAS.items()
        for path in paths(AGREED.get(formula, {}))
        if path in set(paths(document[formula]))
    ]
    assert twice == []


def paths(node: Any, before: str = "") -> Iterator[str]:
    """Every leaf of a document, as ``people:from_uid``."""
    for key, value in node.items():
        if isinstance(value, dict) and value:
            yield from paths(value, f"{before}{key}:")
        else:
            yield f"{before}{key}"


CHOICES = {**handed_over(), **ELSEWHERE}


@pytest.mark.parametrize("place", CHOICES)
def test_default_of_a_course_is_no_formulas_default_too(place: str) -> None:
    """Lists, switches and empty values are a formula's way to work without a course, and so are two neutral words."""
    value = value_at(DEFAULTS["course"], CHOICES[place].replace(".", ":"))
    found = value_at(FORMULAS[place.partition(":")[0]], place)
    neutral = not value or isinstance(value, bool | list) or value in ("Etc/UTC", "password")
    if not neutral:
        assert str(found).casefold() != str(value).casefold()


def test_choices_are_found() -> None:
    assert CHOICES["jupyterhub:spawner:mem_limit"] == "limits.memory"


def test_pillar_takes_defaults_from_the_file_alone() -> None:
    """A ``course.get('key', default)`` would be a second place for the default."""
    for path in tracked("pillar/hub.sls", "pillar/hub/*.jinja"):
        text = path.read_text()
        assert re.findall(r"\b(?:course|one|given|signin)(?:\.\w+)*\.get\([^()]*,", text) == [], path
        assert "default(" not in text, path


def test_person_gets_no_account_or_group_of_ours() -> None:
    assert {*FACTS["accounts"].values(), *agreed.GROUPS} <= RESERVED


def test_python_on_the_server_knows_the_same_first_uid() -> None:
    found = {
        str(path.relative_to(ROOT)): int(match[1])
        for path in tracked("formulas/*/files/**", "salt/_*/*.py")
        if path.suffix in (".py", "")
        for match in re.finditer(r"^FIRST_U?ID = (\d+)$", path.read_text(errors="replace"), re.MULTILINE)
    }
    assert found
    assert set(found.values()) == {FACTS["uids"]["first_person"]}, found


def test_proxy_listens_where_nginx_asks() -> None:
    proxy = (ROOT / "formulas/jupyterhub/files/jupyterhub-proxy.service").read_text()
    assert f"--socket {FACTS['urls']['proxy'].removeprefix('http://unix:')} " in proxy


def test_units_of_the_journal_are_units_of_a_server(renderings: dict[str, Rendering]) -> None:
    chunks = renderings["course-demo-debian-13"].chunks
    run = {str(chunk["name"]).partition(".")[0] for chunk in chunks if chunk["state"] == "service"}
    run |= {Path(chunk["name"]).stem for chunk in chunks if "/systemd/system/" in str(chunk["name"])}
    assert set(agreed.UNITS) <= run
