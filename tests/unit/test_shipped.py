"""When what was shipped may be run again: only while nothing that it was rendered from has changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from runner import shipped
from runner.access import Access
from runner.project import Project

pytestmark = pytest.mark.unit

SUM = "5e" * 32


@pytest.fixture
def project(tmp_path: Path) -> Project:
    for name in ("salt/top.sls", "formulas/base/init.sls", "pillar/courses/demo.sls", "requirements/runner.lock"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "Saltfile").write_text("salt-ssh: {}\n")
    (tmp_path / "salt/config").mkdir()
    (tmp_path / "salt/config/master").write_text(
        "file_roots: {base: [salt, formulas]}\npillar_roots: {base: [pillar, .coursehub/pillar]}\n"
    )
    for name in ("pillar/runtime/demo.sls", "salt.d/gpg.conf", "roster"):
        path = Project(tmp_path).state / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return Project(tmp_path)


def append(name: str) -> Callable[[Path], object]:
    return lambda root: (root / name).write_text((root / name).read_text() + "\n# more\n")


@pytest.mark.parametrize(
    "change",
    [
        append("salt/top.sls"),
        append("formulas/base/init.sls"),
        append("pillar/courses/demo.sls"),
        append(".coursehub/pillar/runtime/demo.sls"),
        append("salt/config/master"),
        append(".coursehub/salt.d/gpg.conf"),
        append(".coursehub/roster"),
        append("Saltfile"),
        append("requirements/runner.lock"),
        lambda root: (root / "formulas/base/files.txt").write_bytes(b"\xff\0"),
        lambda root: (root / "formulas/base/init.sls").rename(root / "formulas/base/other.sls"),
        lambda root: (root / "pillar/courses/demo.sls").unlink(),
    ],
)
def test_every_input_counts(project: Project, change: Callable[[Path], object]) -> None:
    access = Access(project, "demo")
    before = shipped.inputs(project)
    assert shipped.inputs(project) == before
    shipped.keep(access, before, SUM)
    assert shipped.again(access, before, test=False) is not None
    change(project.root)
    assert shipped.again(access, shipped.inputs(project), test=False) is None


def test_what_salt_or_the_runner_writes_beside_them_does_not(project: Project) -> None:
    before = shipped.inputs(project)
    (project.root / "salt/__pycache__").mkdir()
    (project.root / "salt/__pycache__/acme.cpython-311.pyc").write_bytes(b"\0")
    shipped.keep(Access(project, "demo"), before, SUM)
    assert shipped.inputs(project) == before


@pytest.mark.parametrize("test", [True, False])
def test_the_script_names_the_package_and_whether_it_is_a_test(project: Project, test: bool) -> None:
    access = Access(project, "demo")
    shipped.keep(access, "inputs", SUM)
    script = shipped.again(access, "inputs", test=test)
    assert script
    assert f"test={test} pkg_sum={SUM} hash_type=sha256" in script
    assert f'echo "{SUM}  /var/lib/coursehub-salt/salt_state.tgz" | sha256sum --check' in script


@pytest.mark.parametrize("package", ["", "5e5e", f"{SUM} {SUM}", "$(reboot)"])
def test_a_package_that_is_not_known_for_sure_is_not_remembered(project: Project, package: str) -> None:
    access = Access(project, "demo")
    shipped.keep(access, "inputs", package)
    assert not access.shipped.exists()


@pytest.mark.parametrize(
    "record",
    ["", "{", "[]", '"text"', "{}", json.dumps({"rendered_from": "inputs", "package": "$(reboot)"}), b"\xff"],
)
def test_a_damaged_record_is_none(project: Project, record: str | bytes) -> None:
    access = Access(project, "demo")
    access.directory.mkdir(parents=True)
    access.shipped.write_bytes(record if isinstance(record, bytes) else record.encode())
    assert shipped.again(access, "inputs", test=False) is None


def test_a_server_that_is_gone_takes_it_along(project: Project) -> None:
    access = Access(project, "demo")
    shipped.keep(access, "inputs", SUM)
    access.forget_server()
    assert not access.directory.exists()
