"""Rules of this repository that no compiler checks."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import salt.states
import yaml

from tests.render.rendering import ROOT, switched_off

pytestmark = pytest.mark.render


def tracked(*patterns: str) -> list[Path]:
    """Files of the project, including those that are not in git yet; files that git ignores are not ours."""
    argv = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns]
    done = subprocess.run(argv, check=False, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        return [path for pattern in patterns for path in ROOT.glob(pattern) if path.is_file()]
    return [ROOT / line for line in done.stdout.splitlines() if (ROOT / line).is_file()]


def words_of_courses() -> dict[str, str]:
    """Words that belong to one course and its pillar: its domain and its people's names and accounts."""
    words = {}
    for path in (ROOT / "pillar" / "courses").glob("*.sls"):
        course = yaml.safe_load(path.read_text())["course"]
        people = [person for group in course["people"].values() for person in group or []]
        for word in [
            course["domain"],
            *(person["name"] for person in people),
            *(person["account"] for person in people),
        ]:
            words[word] = path.name
    return words


def test_no_course_is_named_outside_pillar_and_tests() -> None:
    words = words_of_courses()
    assert words
    for path in tracked("runner/**", "formulas/**", "salt/**", "coursehub", "Saltfile"):
        if path.suffix in (".png", ".txt", ".json"):
            continue
        text = path.read_text()
        found = [word for word in words if word in text]
        assert found == [], (
            f"{path.relative_to(ROOT)} knows what belongs to pillar/courses/{words[found[0]] if found else ''}"
        )


def plain_yaml() -> list[Path]:
    """YAML that is not rendered as a template first."""
    named = tracked("*.yaml", "*.yml", "*.example", ".yamllint", ".salt-lint", "Saltfile")
    return [*named, *(path for path in tracked("pillar/**/*.sls") if path.read_text().startswith("#!yaml"))]


@pytest.mark.parametrize(("module", "files"), [("saltlint", "states"), ("yamllint", "yaml")])
def test_lint(module: str, files: str) -> None:
    paths = plain_yaml() if files == "yaml" else [path for path in tracked("*.sls") if "pillar" not in path.parts]
    assert paths
    strict = ["-s"] if module == "yamllint" else []
    argv = [sys.executable, "-m", module, *strict, *(str(path.relative_to(ROOT)) for path in paths)]
    done = subprocess.run(argv, check=False, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_python_of_formulas_is_linted() -> None:
    """Scripts for /usr/local/sbin have no suffix, so ruff does not find them by itself."""
    scripts = [path for path in tracked("formulas/*/files/*") if path.read_bytes().startswith(b"#!/usr/bin/python3")]
    assert scripts
    for path in scripts:
        name = f"{path.stem.replace('-', '_')}.py"
        argv = [sys.executable, "-m", "ruff", "check", "--no-cache", "--stdin-filename", name, "-"]
        done = subprocess.run(argv, check=False, cwd=ROOT, input=path.read_text(), capture_output=True, text=True)
        assert done.returncode == 0, f"{path.relative_to(ROOT)}: {done.stdout}{done.stderr}"


def test_salt_looks_at_no_state_module_that_no_state_uses() -> None:
    """A state with a disabled module fails on the server; an unnecessary module slows down each apply."""
    here = Path(salt.states.__file__).parent
    modules = {path.stem for path in here.glob("*.py")} | {path.parent.name for path in here.glob("*/__init__.py")}
    ours = {path.stem for path in tracked("salt/_states/*.py")}
    text = "\n".join(path.read_text() for path in tracked("formulas/**/*.sls", "salt/**/*.sls"))
    used = set(re.findall(r"^ +(\w+)\.\w+:?(?: \[\])?$", text, flags=re.MULTILINE)) - ours
    assert sorted(modules - switched_off() - {"__init__"}) == sorted(used)


def test_states_use_only_grains_that_outdate_shipped_states() -> None:
    """runner/saltssh/shipped.py reruns them while the release is the same; the kind of machine never changes."""
    paths = [
        path for path in tracked("formulas/**", "salt/**", "pillar/**") if not {"locks", "config"} & set(path.parts)
    ]
    assert {ROOT / "pillar/hub.sls", ROOT / "salt/top.sls", ROOT / "salt/_states/acme.py"} <= set(paths)
    text = "\n".join(path.read_text(errors="replace") for path in paths if path.suffix != ".md")
    assert set(re.findall(r"\bgrains\b(?!:)\S*", text)) == {
        "grains['osfinger'],",
        "grains.get('virtual_subtype',",
        "grains.get('virtual',",
    }
    assert set(re.findall(r"\bsalt\[.*?\(|\bsalt\.[a-z_]+\.[a-z_]+\(", text)) == {
        "salt['pillar.get'](",
        "salt['slsutil.merge'](",
        "salt['slsutil.renderer'](",
    }
