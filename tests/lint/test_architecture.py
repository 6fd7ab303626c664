"""docs/architecture.md is true, the runner's imports have no cycle, files are short, and documents agree."""

from __future__ import annotations

import ast
import re
import tomllib
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.lint.test_lint import REPO, tracked

pytestmark = pytest.mark.unit

MAX_LINES = 400
#: Letters in the name of a test.
MAX_NAME = 60
#: Tables, locks and generated files: nobody reads them from top to bottom.
LONG = re.compile(r"\.(lock|txt|json|png|csv)$|^docs/course-file\.md$|^tests/support/digitalocean-openapi\.yaml$")
#: Files that are longer than they should be. No file may be added.
TOO_LONG: set[str] = set()


def modules() -> dict[str, Path]:
    """The runner's modules by their dotted names."""
    found = {}
    for path in (REPO / name for name in tracked("runner/*.py")):
        parts = path.relative_to(REPO).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports() -> dict[str, set[str]]:
    """The runner's modules that each module imports, anywhere in its file."""
    known = modules()
    found: dict[str, set[str]] = {}
    for name, path in known.items():
        wanted: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                wanted |= {one.name for one in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                below = {f"{node.module}.{one.name}" for one in node.names}
                wanted |= {one if one in known else node.module for one in below}
        found[name] = (wanted & known.keys()) - {name}
    return found


def room(module: str) -> str | None:
    """The package of a module, or None for a module beside the packages."""
    name = module.split(".")[1] if "." in module else ""
    return name if name and (REPO / "runner" / name).is_dir() else None


def arrows() -> set[tuple[str, str]]:
    """The imports between rooms."""
    pairs = {(room(one), room(other)) for one, others in imports().items() for other in others}
    return {(one, other) for one, other in pairs if one and other and one != other}


def test_imports_form_no_circle() -> None:
    order = list(TopologicalSorter(imports()).static_order())
    assert len(order) == len(modules())


def test_rooms_form_no_circle() -> None:
    graph: dict[str, set[str]] = {}
    for one, other in arrows():
        graph.setdefault(one, set()).add(other)
    assert list(TopologicalSorter(graph).static_order())


def test_init_files_only_re_export() -> None:
    found = []
    for path in (REPO / name for name in tracked("runner/**__init__.py")):
        for node in ast.parse(path.read_text()).body:
            names = [ast.unparse(target) for target in node.targets] if isinstance(node, ast.Assign) else []
            if not isinstance(node, ast.Import | ast.ImportFrom | ast.Expr) and names != ["__all__"]:
                found.append(f"{path.relative_to(REPO)}:{node.lineno}")
    assert found == []


def test_no_verb_asks_which_provider_it_has() -> None:
    """Differences between providers are in ``runner/providers``; a course's ``cloud`` is looked up there."""
    asking = re.compile(
        r"cloud\b[\"'\]]*\s*[!=]=\s*[\"']|\b(session|self)\.local\b|is_local\b|isinstance\(.*(Cloud|Local|DigitalOcean|Account)\b"
    )
    rooms = ("verbs", "session", "servers", "hub", "saltssh", "setup")
    found = [
        f"{path.relative_to(REPO)}:{number}: {line.strip()}"
        for name, path in modules().items()
        if room(name) in rooms
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if asking.search(line)
    ]
    assert found == []


def test_picture_shows_the_arrows_that_there_are() -> None:
    page = (REPO / "docs/architecture.md").read_text(encoding="utf-8")
    drawn = set(re.findall(r"^    (\w+) --> (\w+)$", page, re.MULTILINE))
    assert sorted(arrows() - drawn) == [], "not drawn in docs/architecture.md"
    assert sorted(drawn - arrows()) == [], "drawn in docs/architecture.md, and not there"
    rooms = {name for pair in arrows() for name in pair}
    assert rooms == set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))


def test_modules_beside_the_rooms_import_no_room() -> None:
    beside = {name for name in modules() if room(name) is None and name not in ("runner", "runner.__main__")}
    assert [(name, other) for name in sorted(beside) for other in imports()[name] if room(other)] == []


def test_no_file_is_long() -> None:
    lines = {
        name: (REPO / name).read_text(encoding="utf-8", errors="replace").count("\n")
        for name in tracked()
        if not LONG.search(name)
    }
    assert sorted(name for name, count in lines.items() if count > MAX_LINES and name not in TOO_LONG) == []
    assert sorted(name for name in TOO_LONG if lines.get(name, 0) <= MAX_LINES) == [], "take them off the list"


def test_no_test_imports_a_unit_test() -> None:
    """What several tests use is in ``tests/support``."""
    files = {name: (REPO / name).read_text(encoding="utf-8") for name in tracked("tests/*.py")}
    wanted = re.compile(r"^\s*(?:from|import) +tests\.unit\b", re.MULTILINE)
    assert len(files) > 100
    assert [name for name, text in files.items() if wanted.search(text)] == []


def test_names_of_tests_are_short() -> None:
    """The story is in the docstring."""
    files = {name: (REPO / name).read_text(encoding="utf-8") for name in tracked("tests/*.py")}
    names = [
        (name, test) for name, text in files.items() for test in re.findall(r"^def (test_\w+)", text, re.MULTILINE)
    ]
    assert names
    assert [(name, test) for name, test in names if len(test) > MAX_NAME] == []


def test_every_decision_is_in_the_index() -> None:
    index = (REPO / "docs/decisions/README.md").read_text(encoding="utf-8")
    records = {Path(name).name for name in tracked("docs/decisions/*.md")} - {"README.md"}
    assert set(re.findall(r"\]\(([\w-]+\.md)\)", index)) == records


def test_version_is_the_newest_of_the_changelog() -> None:
    version = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    newest = re.search(r"^## (\d+\.\d+\.\d+)\b", (REPO / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert newest
    assert newest[1] == version


def test_recipes_name_files_that_are_there() -> None:
    """In CONTRIBUTING.md, a path without capital letters is a file or directory of the repository."""
    page = (REPO / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:[a-z_.-]+/)+[a-z0-9_.-]*)`", page)
    assert named
    assert [path for path in named if not (REPO / path).exists()] == []
