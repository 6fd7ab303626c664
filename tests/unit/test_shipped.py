"""Shipped states may be run again only if none of their sources has changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.project import Project
from runner.saltssh import shipped
from runner.servers.access import Access

pytestmark = pytest.mark.unit

SUMS = shipped.Sums("5e" * 32, "a1" * 32)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    root = tmp_path / "root"
    for name in ("salt/top.sls", "formulas/base/init.sls", "pillar/courses/demo.sls", "requirements/runner.lock"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    (root / "Saltfile").write_text("salt-ssh: {}\n")
    (root / "salt/config").mkdir()
    (root / "salt/config/master").write_text(
        "file_roots: {base: [salt, formulas]}\npillar_roots: {base: [pillar, .coursehub/pillar]}\n"
    )
    # A school's own formulas, from a directory of all its working copies.
    (tmp_path / "school/web").mkdir(parents=True)
    (tmp_path / "school/web/init.sls").write_text("web")
    (root / "formulas/school").symlink_to(tmp_path / "school")
    for name in ("pillar/runtime/demo.sls", "salt.d/gpg.conf"):
        path = Project(root).state / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return Project(root)


def append(name: str) -> Callable[[Path], object]:
    return lambda root: (root / name).write_text((root / name).read_text() + "\n# more\n")


@pytest.mark.parametrize(
    "change",
    [
        append("salt/top.sls"),
        append("formulas/base/init.sls"),
        append("formulas/school/web/init.sls"),
        append("pillar/courses/demo.sls"),
        append(".coursehub/pillar/runtime/demo.sls"),
        append("salt/config/master"),
        append(".coursehub/salt.d/gpg.conf"),
        append("Saltfile"),
        append("requirements/runner.lock"),
        lambda root: (root / "formulas/base/files.pyc").write_bytes(b"\xff\0"),
        lambda root: (root / "formulas/base/init.sls").rename(root / "formulas/base/other.sls"),
        lambda root: (root / "pillar/courses/demo.sls").unlink(),
    ],
)
def test_every_input_counts(project: Project, change: Callable[[Path], object]) -> None:
    access = Access(project, "demo")
    before = shipped.inputs(project, "demo")
    assert before
    assert shipped.inputs(project, "demo") == before
    shipped.keep(access, before, SUMS)
    assert shipped.script(access, before, test=False) is not None
    change(project.root)
    assert shipped.inputs(project, "demo")
    assert shipped.script(access, shipped.inputs(project, "demo"), test=False) is None


def test_what_lies_beside_them_does_not(project: Project) -> None:
    before = shipped.inputs(project, "demo")
    (project.root / "salt/__pycache__").mkdir()
    (project.root / "salt/__pycache__/acme.cpython-311.pyc").write_bytes(b"\0")
    # Another course's first passwords, while they are written.
    (project.state / "pillar/runtime/.phys.sls.x7").write_text("half")
    (project.state / "pillar/runtime/phys.sls").write_text("whole")
    shipped.keep(Access(project, "demo"), before, SUMS)
    assert shipped.inputs(project, "demo") == before


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "salt/gone.sls").symlink_to("nowhere"),
        lambda root: (root / ".coursehub/pillar/runtime/demo.sls").unlink(),
        lambda root: (root / "salt/config/master").unlink(),
        lambda root: (root / "salt/config/master").write_text("file_roots: ["),
        lambda root: (root / "salt/config/master").write_text("file_roots: here"),
        lambda root: (root / "salt/config/master").write_text("- file_roots"),
        lambda root: (root / "salt/config/master").write_bytes(b"\xff"),
    ],
)
def test_what_cannot_be_read_is_salts_to_tell(project: Project, change: Callable[[Path], object]) -> None:
    access = Access(project, "demo")
    change(project.root)
    assert shipped.inputs(project, "demo") is None
    shipped.keep(access, None, SUMS)
    assert not access.shipped.exists()
    assert shipped.script(access, None, test=False) is None


@pytest.mark.parametrize("test", [True, False])
def test_script_names_its_inputs_and_whether_it_is_a_test(project: Project, test: bool) -> None:
    access = Access(project, "demo")
    shipped.keep(access, "inputs", SUMS)
    script = shipped.script(access, "inputs", test=test)
    assert script
    assert f"test={test} pkg_sum={SUMS.package} hash_type=sha256" in script
    assert f'echo "{SUMS.package}  /var/lib/coursehub-salt/salt_state.tgz" | sha256sum --check' in script
    assert f"= {SUMS.beside} ]" in script


@pytest.mark.parametrize(
    "sums",
    [
        None,
        *(shipped.Sums(*pair) for one in ("", "5e5e", "$(reboot)") for pair in ((one, "a1" * 32), ("a1" * 32, one))),
    ],
)
def test_what_is_not_known_for_sure_is_not_remembered(project: Project, sums: shipped.Sums | None) -> None:
    access = Access(project, "demo")
    shipped.keep(access, "inputs", sums)
    assert not access.shipped.exists()


def test_what_cannot_be_remembered_costs_nothing(project: Project) -> None:
    access = Access(project, "demo")
    access.directory.parent.mkdir(parents=True)
    access.directory.write_text("no directory")
    shipped.keep(access, "inputs", SUMS)
    assert shipped.script(access, "inputs", test=False) is None


@pytest.mark.parametrize(
    "record",
    [
        *("", "{", "[]", '"text"', "{}", b"\xff"),
        json.dumps({"rendered_from": "inputs", "sums": {"package": "$(reboot)", "beside": SUMS.beside}}),
        json.dumps({"rendered_from": "inputs", "sums": {"package": SUMS.package}}),
        json.dumps({"rendered_from": "inputs", "sums": {"package": 7, "beside": SUMS.beside}}),
        json.dumps({"sums": {"package": SUMS.package, "beside": SUMS.beside}}),
    ],
)
def test_a_damaged_record_is_none(project: Project, record: str | bytes) -> None:
    access = Access(project, "demo")
    access.directory.mkdir(parents=True)
    access.shipped.write_bytes(record if isinstance(record, bytes) else record.encode())
    for rendered_from in ("inputs", None):
        assert shipped.script(access, rendered_from, test=False) is None


def test_a_server_that_is_gone_takes_it_along(project: Project) -> None:
    access = Access(project, "demo")
    shipped.keep(access, "inputs", SUMS)
    access.forget_server()
    assert not access.directory.exists()
