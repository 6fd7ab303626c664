"""A Salt minion that never starts, to render states: every course and formula on every supported release."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from saltfactories.manager import FactoriesManager

from runner import people
from runner.project import Project
from runner.secrets import Secrets
from runner.secrets.vault import Vault
from tests.render import courses
from tests.render.rendering import ROOT, Renderer, Rendering, all_once

# Salt buffers log records and writes them at exit, to a stream that pytest has closed by then.
logging.raiseExceptions = False


def _release(os: str, version: str, codename: str) -> dict[str, Any]:
    """The grains by which formulas distinguish releases."""
    return {
        "os": os,
        "osfinger": f"{os}-{version}",
        "osrelease": version,
        "osmajorrelease": int(version.split(".", maxsplit=1)[0]),
        "oscodename": codename,
    }


RELEASES: dict[str, dict[str, Any]] = {
    "debian-12": _release("Debian", "12", "bookworm"),
    "debian-13": _release("Debian", "13", "trixie"),
    "ubuntu-24.04": _release("Ubuntu", "24.04", "noble"),
}
FORMULAS = sorted(path.parent.name for path in (ROOT / "formulas").glob("*/init.sls"))
#: A course with an encrypted class list cannot be rendered here; a made-up course is used instead.
READABLE = [
    path.stem
    for path in (ROOT / "pillar" / "courses").glob("*.sls")
    if not (ROOT / "pillar" / "secrets" / f"{path.stem}-people.sls").exists()
]
COURSES = sorted([*courses.MADE_UP, *READABLE])


@pytest.fixture(scope="session")
def salt_factories_config(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return {
        "root_dir": tmp_path_factory.mktemp("salt"),
        "code_dir": ROOT,
        "inject_sitecustomize": False,
        "cwd": ROOT,
    }


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A temporary private key: only their teachers have the real courses' keys."""
    return tmp_path_factory.mktemp("keys")


@pytest.fixture(scope="session")
def pillar_root(tmp_path_factory: pytest.TempPathFactory, keys: Path) -> Path:
    """The project's pillar with made-up courses, and what the runner would generate for each."""
    project = Project(tmp_path_factory.mktemp("project"))
    root = project.root / "pillar"
    shutil.copytree(ROOT / "pillar", root, ignore=shutil.ignore_patterns("secrets"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COURSEHUB_KEYS", str(keys))
        people.write(project, courses.LISTED, courses.CLASS_LIST)
        Secrets(project, courses.LISTED).set("a-secret", courses.SECRET)
        Secrets(project, "made-material").set("deploy-key-projects", courses.SECRET)
        Secrets(project, "made-material").set("deploy-key-own", courses.SECRET)
    lock = min((ROOT / "pillar" / "files" / "locks").glob("*.txt"))
    for name, course in courses.MADE_UP.items():
        (root / "courses" / f"{name}.sls").write_text(
            "#!yaml\n" + yaml.safe_dump({"course": course}, allow_unicode=True)
        )
        target = root / "files" / "locks" / f"{name}.txt"
        shutil.copyfile(lock, target)
        if logo := course.get("page", {}).get("logo"):
            (root / "files" / "logos").mkdir(exist_ok=True)
            (root / "files" / "logos" / logo).write_bytes(b"\x89PNG\r\n\x1a\n")
        for one in course.get("material", {}).get("data", []):
            if not one["source"].startswith("https://"):
                (root / "files" / "data" / one["source"]).write_text("1\n")
    (root / "runtime").mkdir()
    for name in COURSES:
        course = yaml.safe_load((root / "courses" / f"{name}.sls").read_text())["course"]
        (root / "runtime" / f"{name}.sls").write_text("#!yaml\n" + yaml.safe_dump(courses.runtime(course)))
    return root


@pytest.fixture(scope="session")
def renderer(salt_factories: FactoriesManager, pillar_root: Path, keys: Path) -> Iterator[Renderer]:
    """Compiles states like a masterless minion; its grains and id change for each rendering."""
    minion = salt_factories.salt_minion_daemon(
        "render",
        overrides={
            "file_client": "local",
            "file_roots": {"base": [str(ROOT / "salt"), str(ROOT / "formulas"), str(pillar_root / "files")]},
            "pillar_roots": {"base": [str(pillar_root)]},
            "gpg_keydir": str(keys),
            "gpg_decrypt_must_succeed": True,
        },
    )
    with Vault(Project(pillar_root.parent), keys).agent():
        yield Renderer(minion)


class WhenAsked(dict[str, Rendering]):
    """Renderings by name, each made when a test first asks for it."""

    def __init__(self, renderer: Renderer) -> None:
        super().__init__()
        self._renderer = renderer
        self._kept: tuple[dict[Any, Any], dict[Any, Any]] = ({}, {})

    def __missing__(self, name: str) -> Rendering:
        what, release = next((name.removesuffix(f"-{one}"), one) for one in RELEASES if name.endswith(f"-{one}"))
        grains = RELEASES[release]
        with all_once(self._kept):
            if what.startswith("course-"):
                made = self._renderer.course(what.removeprefix("course-"), grains)
            else:
                formula, _, kind = what.rpartition("-")
                example = ROOT / "formulas" / formula / "pillar.example"
                pillar = yaml.safe_load(example.read_text()) if kind == "example" else {}
                made = self._renderer.formula(formula, grains, pillar)
        self[name] = made
        return made


@pytest.fixture(scope="session")
def renderings(renderer: Renderer) -> dict[str, Rendering]:
    """Everything that can be rendered, by a name such as `nginx-example-debian-13`."""
    return WhenAsked(renderer)


def names_of_renderings() -> Iterator[str]:
    """The keys of `renderings`, which are known before anything is rendered."""
    for release in RELEASES:
        yield from (f"course-{course}-{release}" for course in COURSES)
        for formula in FORMULAS:
            yield f"{formula}-defaults-{release}"
            if (ROOT / "formulas" / formula / "pillar.example").exists():
                yield f"{formula}-example-{release}"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "rendering" in metafunc.fixturenames:
        metafunc.parametrize("rendering", sorted(names_of_renderings()), indirect=True)


@pytest.fixture
def rendering(request: pytest.FixtureRequest, renderings: dict[str, Rendering]) -> Rendering:
    return renderings[request.param]
