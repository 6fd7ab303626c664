"""What the runner and the programs on a server both know comes from pillar/server.sls, or a test compares it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner import agreed
from tests.render.rendering import ROOT, Rendering
from tests.render.test_house import tracked

pytestmark = pytest.mark.render

#: Paths below these directories are made by us or by a package that we install.
PATH = re.compile(r"(?<![\w.}-])/(?:var/lib|var/log|run|srv|opt|etc/coursehub|usr/local)/[\w./-]*[\w-]")
#: The operating system's own, and commands, which have a test below.
COMMON = re.compile(r"/usr/local/(s?bin(/coursehub-\w+)?|share/ca-certificates)|/var/lib/dpkg/.*")
#: A command that a formula puts onto the server.
COMMAND = re.compile(r"/usr/local/sbin/coursehub-\w+")
#: Renderings whose servers together have all commands.
SERVERS = ("course-demo-debian-13", "backup-example-debian-13")
#: Constants that mean something else in each place.
DIFFERENT = {
    # The letters in a group of a password, and the number of a group.
    "GROUP",
    # Time limits of different programs.
    "PATIENCE", "SECONDS",
    # Names of types.
    "Facts",
    # ACME's own word, which both must use to be understood.
    "CHALLENGE",
}  # fmt: skip
#: Programs on the server get paths from their configuration. These few know one by themselves.
KNOWN = {
    ("disk_usage", "formulas/homes/files/class_disk/config.py"),
    ("disk_usage", "formulas/course_env/files/class_lab/space.py"),
    ("earlier", "formulas/course_env/files/class_lab/versions.py"),
    ("given", "salt/_states/class_accounts.py"),
    ("material_status", "salt/_states/material.py"),
    ("openings", "formulas/jupyterhub/files/class_openings/log.py"),
    ("shared", "formulas/jupyterhub/files/class_inside/properties.py"),
    ("uv", "salt/_states/uv_env.py"),
    ("uv_root", "salt/_states/uv_env.py"),
}


def trees(*patterns: str) -> Iterator[tuple[Path, ast.Module]]:
    for path in tracked(*patterns):
        # The local cloud is no part of a server: it makes the machine as a provider would.
        if path.suffix == ".py" and path != ROOT / "runner/agreed.py" and "local" not in path.parts:
            yield path, ast.parse(path.read_text())


def on_the_server() -> dict[Path, str]:
    """Everything that goes onto a server or runs there, without comments and docstrings."""
    found = {path: ast.unparse(tree) for path, tree in trees("formulas/*/files/**", "salt/_*/*.py")}
    for path in tracked("formulas/*/*.sls", "formulas/*/defaults.yaml", "formulas/*/files/**"):
        if path.suffix in ("", ".sls", ".yaml", ".conf", ".service", ".timer", ".path", ".socket"):
            lines = path.read_text(errors="replace").splitlines()
            found[path] = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
    return found


def of_the_runner(pattern: re.Pattern[str]) -> set[str]:
    return {match[0] for _, tree in trees("runner/**.py") for match in pattern.finditer(ast.unparse(tree))}


def test_path_is_not_in_the_runner_and_on_the_server() -> None:
    ours = {path for path in of_the_runner(PATH) if not COMMON.fullmatch(path)}
    twice = {
        path: str(file.relative_to(ROOT))
        for path in ours
        for file, text in on_the_server().items()
        if re.search(rf"{re.escape(path)}(?![\w-])", text)
    }
    assert twice == {}


def constants(*patterns: str) -> dict[tuple[str, str], str]:
    """Constants of modules that are a number, a text or a list of them: the file by name and value."""
    found = {}
    for path, tree in trees(*patterns):
        for node in tree.body:
            value = getattr(node, "value", None)
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            for target, given in zip(targets, [value] * len(targets), strict=True):
                pairs = [(target, given)]
                if isinstance(target, ast.Tuple) and isinstance(given, ast.Tuple):
                    pairs = list(zip(target.elts, given.elts, strict=True))
                for name, one in pairs:
                    if isinstance(name, ast.Name) and isinstance(one, ast.Constant | ast.Tuple | ast.List | ast.Set):
                        found[name.id.lstrip("_"), ast.unparse(one)] = str(path.relative_to(ROOT))
    return found


def test_constant_is_not_in_the_runner_and_on_the_server() -> None:
    """The same name with the same value: somebody wrote one fact down twice."""
    runner = constants("runner/**.py")
    server = constants("formulas/*/files/**", "salt/_*/*.py")
    both = {key: (runner[key], server[key]) for key in runner.keys() & server.keys() if key[0] not in DIFFERENT}
    assert both == {}


def test_program_on_the_server_knows_the_same_path() -> None:
    """Fails if pillar/server.sls has another path than a program, and if a program begins to know one."""
    # Debian's own paths, which are everywhere.
    ours = {purpose: path for purpose, path in agreed.PATHS.items() if purpose not in ("homes", "python")}
    known = {
        (purpose, str(file.relative_to(ROOT)))
        for file, text in on_the_server().items()
        for purpose, path in ours.items()
        if re.search(rf"(?<![\w.}}]){re.escape(path)}(?![\w.-])", text)
    }
    assert known == KNOWN


@pytest.mark.parametrize(
    ("purpose", "file", "text"),
    [
        (
            "carried_certificate",
            "letsencrypt/files/coursehub_cert/places.py",
            'STATE = Path("{0.parent}")\nCARRIED = STATE / "{0.name}"',
        ),
        ("material_status", "material/files/coursehub_material.py", '"STATE_DIRECTORY", "{0.parent}"'),
        ("material_status", "material/files/coursehub_material.py", 'STATE / "{0.name}"'),
        ("disk_usage", "homes/files/looking-after.service", "RuntimeDirectory={0.name}"),
    ],
)
def test_program_on_the_server_builds_the_same_path(purpose: str, file: str, text: str) -> None:
    assert text.format(Path(agreed.PATHS[purpose])) in (ROOT / "formulas" / file).read_text()


def test_commands_of_the_runner_are_on_a_server(renderings: dict[str, Rendering]) -> None:
    chunks = [chunk for name in SERVERS for chunk in renderings[name].chunks]
    commands = of_the_runner(COMMAND)
    assert commands
    assert commands <= {str(chunk["name"]) for chunk in chunks if chunk["state"] == "file"}
