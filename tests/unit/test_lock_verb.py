"""`coursehub lock` as typed, resolved by the real uv from wheels that the test makes."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from runner.cli import main as cli
from runner.errors import CoursehubError
from runner.packages import lock
from runner.project import Project
from tests.support.wheels import make_wheel

pytestmark = pytest.mark.unit

REPO = Path(__file__).resolve().parents[2]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The demo course with two packages of its own, and one that all courses have."""
    root, wheels = tmp_path / "root", tmp_path / "wheels"
    shutil.copytree(REPO / "pillar", root / "pillar")
    wheels.mkdir()
    for name, version in (("labsuite", "1.0"), ("arrays", "1.0"), ("frames", "1.0"), ("frames", "2.0")):
        make_wheel(wheels, name, version)
    for path, text in ((lock.BASE, "labsuite==1.0\n"), (lock.OVERRIDES, "")):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    course = root / "pillar/courses/demo.sls"
    text, count = re.subn(r"(?m)^  packages: .*$", "  packages: [arrays, frames]", course.read_text("utf-8"))
    assert count == 1
    course.write_text(text, "utf-8")
    monkeypatch.setenv("COURSEHUB_ROOT", str(root))
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("UV_FIND_LINKS", str(wheels))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    return Project(root)


def test_the_lock_is_written_and_says_how_much_is_in_it(project: Project) -> None:
    done = CliRunner().invoke(cli.cli, ["lock", "demo", "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == {"course": "demo", "lock": "pillar/files/locks/demo.txt", "packages": 3}
    text = (project.root / "pillar/files/locks/demo.txt").read_text("utf-8")
    assert set(re.findall(r"(?m)^(\S+==\S+)", text)) == {"arrays==1.0", "frames==2.0", "labsuite==1.0"}
    assert "commit it" in CliRunner().invoke(cli.cli, ["lock", "demo", "--upgrade"]).stdout


def test_a_package_that_there_is_not_is_named_with_its_line(project: Project) -> None:
    course = project.course_file("demo")
    course.write_text(course.read_text("utf-8").replace("[arrays, frames]", "[arrays, framse]"), "utf-8")
    line = next(n for n, text in enumerate(course.read_text("utf-8").splitlines(), 1) if "framse" in text)
    before = (project.root / "pillar/files/locks/demo.txt").read_bytes()
    done = CliRunner().invoke(cli.cli, ["lock", "demo"])
    assert isinstance(done.exception, CoursehubError)
    assert f"pillar/courses/demo.sls:{line}" in str(done.exception)
    assert "framse" in str(done.exception)
    assert (project.root / "pillar/files/locks/demo.txt").read_bytes() == before
