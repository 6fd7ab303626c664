"""`coursehub test` on a small repository: which suites run, what is installed first, and the coverage limit."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from runner.errors import CoursehubError
from runner.project import Project
from runner.verbs import testing
from tests.support.programs import Programs, unmeasured

pytestmark = pytest.mark.unit

REPO = Path(__file__).resolve().parents[2]
RUNNER = """
import subprocess, sys

def reached():
    return 1

def by_a_program():
    return subprocess.run([sys.executable, "-c", "from runner import deep; deep.reached()"], cwd="/").returncode

def not_reached():
    return [
        3,
    ]
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A repository with three suites, nothing to install, and this repository's settings of coverage."""
    root = tmp_path / "root"
    (root / "runner").mkdir(parents=True)
    (root / "runner/__init__.py").write_text(RUNNER)
    (root / "runner/deep.py").write_text("def reached():\n    return 2\n")
    (root / "requirements").mkdir()
    (root / "requirements/test.lock").write_text("# nothing\n")
    shutil.copy(REPO / "pyproject.toml", root)
    for suite, body in (
        ("lint", "assert True"),
        ("unit", "assert runner.reached() == 1; assert runner.by_a_program() == 0"),
        ("render", "assert runner.not_reached()"),
    ):
        (root / "tests" / suite).mkdir(parents=True)
        (root / "tests" / suite / f"test_{suite}.py").write_text(
            f"from pathlib import Path\nimport runner\n\ndef test_{suite}():\n"
            f"    with Path({str(tmp_path / 'ran')!r}).open('a') as ran:\n        ran.write('{suite} ')\n    {body}\n"
        )
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr(testing, "_PARSERS", {"sh": "dash"})
    monkeypatch.setattr(testing, "_PACKAGES", {})
    monkeypatch.setenv("PYTHONPATH", str(root))
    # One process is enough for one test, and pytest then takes half a second instead of three.
    monkeypatch.setattr(testing, "_SIDE_BY_SIDE", ("-n", "1"))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTEST_PLUGINS", "xdist.plugin,pytest_cov.plugin")
    # Pytest keeps the directories of a user's last three runs: these runs would remove the earlier ones.
    monkeypatch.setenv("PYTEST_DEBUG_TEMPROOT", str(tmp_path))
    # If this test itself is measured, the small repository's tests must not be.
    unmeasured(monkeypatch)
    return Project(root)


def ran(project: Project) -> list[str]:
    path = project.root.parent / "ran"
    return path.read_text().split() if path.exists() else []


def add_to_unit(project: Project, text: str) -> None:
    with (project.root / "tests/unit/test_unit.py").open("a") as handle:
        handle.write(text)


def test_all_suites_run_and_only_unit_coverage_counts(
    project: Project, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CI", "true")
    # 8 of 9 lines: those of a program count, the line that only rendering reaches does not.
    monkeypatch.setattr(testing, "COVERAGE", 89)
    assert testing.test(project, []) == 1
    assert sorted(ran(project)) == ["lint", "render", "unit"]
    shown = capfd.readouterr().out
    assert "runner/__init__.py" in shown
    assert "88.9%" in shown
    monkeypatch.setattr(testing, "COVERAGE", 88)
    assert testing.test(project, ["unit"]) == 0


def test_coverage_is_not_measured_without_root(
    project: Project, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(testing, "COVERAGE", 100)
    assert testing.test(project, ["unit"]) == 0
    assert ran(project) == ["unit"]
    assert "Cover" not in capfd.readouterr().out


def test_failing_unit_test_fails_the_run_but_the_rest_runs(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    add_to_unit(project, "\n\ndef test_wrong():\n    assert False\n")
    monkeypatch.setattr(testing, "COVERAGE", 10)
    assert testing.test(project, ["unit", "render"]) == 1
    assert sorted(ran(project)) == ["render", "unit"]


def test_options_go_to_pytest_and_disable_coverage(project: Project, capfd: pytest.CaptureFixture[str]) -> None:
    assert testing.test(project, ["unit", "render", "-k", "render"]) == 0
    assert ran(project) == ["render"]
    assert "Cover" not in capfd.readouterr().out
    assert not (project.state / "coverage").exists()


def test_a_suite_that_there_is_not_names_those_that_there_are(project: Project) -> None:
    with pytest.raises(CoursehubError, match="no suite 'unti'; there are: lint, render, unit") as caught:
        testing.test(project, ["unti"])
    assert caught.value.exit_code == 2


def test_suites_by_name_run_only_when_named(project: Project) -> None:
    for suite in testing.BY_NAME:
        directory = project.root / "tests" / suite
        directory.mkdir()
        text = (project.root / "tests/lint/test_lint.py").read_text()
        (directory / f"test_{suite}.py").write_text(text.replace("lint", suite))
    testing.test(project, [])
    assert set(ran(project)).isdisjoint(testing.BY_NAME)
    (project.root.parent / "ran").unlink()
    assert testing.test(project, ["data"]) == 0
    assert ran(project) == ["data"]


@pytest.mark.parametrize("suite", ["render", "unit"])
def test_long_tests_run_only_if_their_suite_is_named(project: Project, suite: str) -> None:
    """The unit suite too, whose coverage is measured."""
    path = project.root / f"tests/{suite}/test_{suite}.py"
    again = path.read_text().replace(f"def test_{suite}", "import pytest\n\n@pytest.mark.long\ndef test_long")
    (path.parent / "test_more.py").write_text(again.replace(f"write('{suite} ')", "write('long ')"))
    testing.test(project, [])
    assert sorted(ran(project)) == ["lint", "render", "unit"]
    testing.test(project, [suite])
    assert sorted(ran(project)) == sorted(["lint", "render", "unit", suite, "long"])


def test_base_images_are_built_beside_the_first_suites(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    there = project.root.parent
    prepared: list[str] = []
    monkeypatch.setattr(testing.local, "install_packages", lambda _: prepared.append("packages"))

    def prepare(slug: str, _: object) -> None:
        end = time.monotonic() + 20
        while "render" not in ran(project) and time.monotonic() < end:
            time.sleep(0.01)
        prepared.append(slug if "render" in ran(project) else "too early")
        (there / slug).touch()
        # The next one is still tried, and only a test that needs this one fails.
        raise CoursehubError("no space for a machine")

    monkeypatch.setattr(testing.local, "prepare_image", prepare)
    machine = project.root / "tests/machine/test_machine.py"
    machine.parent.mkdir()
    machine.write_text("def test_machine():\n    pass\n")
    monkeypatch.setattr(testing.local, "why_unavailable", lambda: "you are not root")
    assert testing.test(project, ["render", "machine"]) == 0
    monkeypatch.setattr(testing.local, "why_unavailable", lambda: None)
    assert testing.test(project, ["render"]) == 0
    assert prepared == []

    (there / "ran").unlink()
    machine.write_text(
        "import time\nfrom pathlib import Path\n\ndef test_machine():\n"
        "    end = time.monotonic() + 20\n"
        f"    while not all(Path({str(there)!r}, slug).exists() for slug in {tuple(testing.local.SUITES)!r}):\n"
        "        assert time.monotonic() < end\n"
        "        time.sleep(0.01)\n"
    )
    assert testing.test(project, ["render", "machine"]) == 0
    assert prepared == ["packages", "debian-12-x64", "debian-13-x64"]


def test_packages_of_the_lock_are_installed_once(project: Project, capfd: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        # A suite that the repository does not have: nothing to run.
        assert testing.test(project, ["kitchen"]) == 0
    assert capfd.readouterr().err.count("installing the test packages") == 1
    (project.root / "requirements/test.lock").write_text("no == such == thing\n")
    with pytest.raises(CoursehubError, match="the test packages could not be installed"):
        testing.test(project, ["kitchen"])


def test_programs_of_a_suite_are_installed_if_possible(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    programs = Programs.install(tmp_path / "bin", monkeypatch)
    programs.add("apt-get")
    monkeypatch.setattr(testing, "_PACKAGES", {"kitchen": {"no-such-program": "tools", "sh": "dash"}})
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert testing.test(project, ["kitchen"]) == 0
    assert programs.calls("apt-get") == []
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert testing.test(project, ["kitchen"]) == 0
    assert [call[-1] for call in programs.calls("apt-get")] == ["update", "tools"]
    assert "installing the Debian packages tools" in capfd.readouterr().err
    programs.add("apt-get", "echo 'E: Unable to locate package tools' >&2; exit 100")
    with pytest.raises(CoursehubError, match="apt-get could not install tools: E: Unable to locate package tools"):
        testing.test(project, ["kitchen"])


@pytest.mark.skipif(not shutil.which("dpkg-deb"), reason="dpkg-deb is not here")
def test_parsers_are_unpacked_beside_and_not_installed(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "package"
    (package / "DEBIAN").mkdir(parents=True)
    (package / "DEBIAN/control").write_text(
        "Package: parser\nVersion: 1\nArchitecture: all\nMaintainer: a test <t@example.edu>\nDescription: x\n"
    )
    (package / "usr/sbin").mkdir(parents=True)
    (package / "usr/sbin/no-such-parser").write_text('#!/bin/sh\necho "parsed $1 with ${LD_LIBRARY_PATH}"\n')
    (package / "usr/sbin/no-such-parser").chmod(0o755)
    (package / "usr/lib/x86_64-linux-gnu").mkdir(parents=True)
    programs = Programs.install(tmp_path / "bin", monkeypatch)
    programs.add("apt-get", f'dpkg-deb -b "{package}" parser_1_all.deb >/dev/null')
    monkeypatch.setattr(testing, "_PARSERS", {"no-such-parser": "parser"})
    render = project.root / "tests/render/test_render.py"
    render.write_text("import shutil\n\ndef test_render():\n    assert shutil.which('no-such-parser')\n")
    assert testing.test(project, ["render"]) == 0
    shutil.rmtree(project.root / "tests")
    assert testing.test(project, ["render"]) == 0
    (download,) = programs.calls("apt-get")
    assert "parser" in download
    unpacked = project.state / "parsers" / "bin" / "no-such-parser"
    said = subprocess.run([unpacked, "this"], capture_output=True, text=True, check=True).stdout
    assert said.startswith(f"parsed this with {project.state / 'parsers'}/usr/lib/x86_64-linux-gnu")
    assert list((project.state / "parsers").glob("*.deb")) == []


def test_quick_runs_lint_render_and_unit_at_once(
    project: Project, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The small repository has no conftest that knows ``--quick``, so this test adds the option."""
    monkeypatch.setenv("CI", "true")
    (project.root / "conftest.py").write_text(
        "def pytest_addoption(parser):\n    parser.addoption('--quick', action='store_true')\n"
    )
    assert testing.test(project, ["quick"]) == 0
    assert sorted(ran(project)) == ["lint", "render", "unit"]
    assert "Cover" not in capfd.readouterr().out


def test_suites_that_drive_a_browser_install_one() -> None:
    texts = ((path.parent.name, path.read_text(encoding="utf-8")) for path in (REPO / "tests").glob("*/test_*.py"))
    wants = {suite for suite, text in texts if "\nfrom selenium" in text}
    assert {"browser", "load", "machine"} <= wants
    assert [suite for suite in sorted(wants) if not {"chromium", "certutil"} <= set(testing._PACKAGES[suite])] == []
