"""`coursehub lock --all`: every lock of a small repository, resolved by the real uv from wheels that the test makes."""

from __future__ import annotations

import json
import shutil
import warnings
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from runner.cli import main as cli
from runner.errors import CoursehubError
from runner.packages import lock
from runner.verbs import relock
from tests.lint import test_lint
from tests.support.wheels import make_wheel

pytestmark = pytest.mark.unit

REPO = Path(__file__).resolve().parents[2]
FIRST = relock.PythonLock(Path("requirements/runner.lock"), Path("requirements/runner.in"), relock.OVERRIDES)
SECOND = relock.PythonLock(
    Path("requirements/test.lock"), Path("requirements/test.in"), relock.OVERRIDES, within=FIRST.path
)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root, wheels = tmp_path / "root", tmp_path / "wheels"
    shutil.copytree(REPO / "pillar", root / "pillar", ignore=shutil.ignore_patterns("locks", "secrets"))
    for other in (root / "pillar/courses").glob("*.sls"):
        if other.name != "demo.sls":
            other.unlink()
    for name, version in (("arrays", "1.0"), ("arrays", "2.0"), ("frames", "1.0"), ("numpy", "1.0")):
        wheels.mkdir(exist_ok=True)
        make_wheel(wheels, name, version)
    for path, text in (
        ("requirements/runner.in", "arrays<2\n"),
        ("requirements/test.in", "-r runner.in\narrays\nframes\n"),
        ("requirements/overrides.in", ""),
        (str(lock.BASE), "arrays\n"),
        (str(lock.OVERRIDES), ""),
        (str(relock.KITCHEN), ""),
    ):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, "utf-8")
    course = root / "pillar/courses/demo.sls"
    lines = [
        "  packages: [frames]" if line.startswith("  packages:") else line for line in course.read_text().splitlines()
    ]
    course.write_text("\n".join(lines), "utf-8")
    monkeypatch.setattr(relock, "PYTHON", (FIRST, SECOND))
    monkeypatch.setattr(relock, "NPM", ())
    monkeypatch.setenv("COURSEHUB_ROOT", str(root))
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("UV_FIND_LINKS", str(wheels))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    return root


def test_every_lock_is_made_and_says_what_changed(root: Path) -> None:
    courses_lock = lock.make_lock("demo", ["frames"], root)
    courses_lock.write_text(courses_lock.read_text().replace("frames==1.0", "frames==0.9"), "utf-8")
    done = CliRunner().invoke(cli.cli, ["lock", "--all", "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["changed"] == [
        "requirements/runner.lock",
        "requirements/test.lock",
        "pillar/files/locks/demo.txt",
        str(relock.KITCHEN),
    ]
    # The second lock shares its versions with the first.
    assert relock.pins(root / SECOND.path) == {"arrays==1.0", "frames==1.0"}
    assert "arrays==2.0" in relock.pins(courses_lock)
    again = CliRunner().invoke(cli.cli, ["lock", "--all"])
    assert again.stdout == "no version changed; commit the new dates\n"
    today = datetime.now(UTC).date()
    assert {lock.resolved_on(path) for path in (root / FIRST.path, root / SECOND.path, courses_lock)} == {today}


def test_a_lock_that_cannot_be_resolved_stays(root: Path) -> None:
    CliRunner().invoke(cli.cli, ["lock", "--all"])
    before = (root / FIRST.path).read_bytes()
    (root / FIRST.source).write_text("arrays>7\n", "utf-8")
    done = CliRunner().invoke(cli.cli, ["lock", "--all"])
    assert isinstance(done.exception, CoursehubError)
    assert str(done.exception).startswith("requirements/runner.in: Because")
    assert (root / FIRST.path).read_bytes() == before
    assert [path.name for path in (root / "requirements").glob(".*")] == []


@pytest.mark.parametrize("arguments", [["lock"], ["lock", "demo", "--all"]])
def test_a_course_or_all_and_not_both(root: Path, arguments: list[str]) -> None:  # noqa: ARG001
    done = CliRunner().invoke(cli.cli, arguments)
    assert isinstance(done.exception, CoursehubError)
    assert "say which course, or --all" in str(done.exception)


def test_a_lock_of_two_months_is_warned_of(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    CliRunner().invoke(cli.cli, ["lock", "--all"])
    monkeypatch.setattr(test_lint, "REPO", root)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        test_lint.test_no_lock_is_old()
    path = root / FIRST.path
    path.write_text(path.read_text().replace(lock.resolved_line(), "# resolved: 2020-01-01\n"), "utf-8")
    with pytest.warns(UserWarning, match=r"requirements/runner\.lock is \d+ days old; run \./coursehub lock --all"):
        test_lint.test_no_lock_is_old()


def test_the_repositorys_locks_are_all_known() -> None:
    """A new lock in the repository must be resolved with the others."""
    known = {path.relative_to(REPO) for path in relock.all_locks(REPO)}
    hashed = [
        Path(name)
        for name in test_lint.tracked("*.txt", "*.lock")
        if "--hash=sha256:" in (REPO / name).read_text("utf-8")
    ]
    assert set(hashed) <= known
    assert {Path(name).parent for name in test_lint.tracked("*package-lock.json")} == set(relock.NPM)
