"""How a server gets a restic that is new enough; only apt-get is a stand-in."""

from __future__ import annotations

from pathlib import Path

import pytest
from coursehub_backup import installing
from coursehub_backup.config import Config

from tests.support.backups import config_of
from tests.support.programs import Programs

pytestmark = pytest.mark.unit
MIRROR = "echo 'http://mirror.invalid/other Other'; echo 'http://mirror.invalid/debian Debian'"


@pytest.fixture
def restic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where restic is installed; nothing is there yet."""
    monkeypatch.setattr(installing, "PROGRAM", str(tmp_path / "restic"))
    monkeypatch.setattr(installing, "LISTS", tmp_path / "apart")
    return tmp_path / "restic"


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, restic: Path) -> Programs:
    """An apt-get that installs version 0.18.0."""
    programs = Programs.install(tmp_path / "programs", monkeypatch)
    (tmp_path / "new").write_text("#!/bin/sh\necho 'restic 0.18.0 compiled with go1.24 on linux/amd64'\n")
    programs.add("apt-get", f'case "$*" in *install*) install {tmp_path}/new {restic};; indextargets*) {MIRROR};; esac')
    return programs


def have(restic: Path, version: str) -> None:
    restic.write_text(f"#!/bin/sh\necho 'restic {version} compiled with go1.19 on linux/amd64'\n")
    restic.chmod(0o755)


def config(root: Path, release: str = "") -> Config:
    return config_of(root, restic_from=release)


@pytest.mark.parametrize("version", ["0.16.0", "0.18.1", "1.0.0"])
def test_restic_that_is_new_enough_stays(apt: Programs, restic: Path, version: str, tmp_path: Path) -> None:
    have(restic, version)
    installing.ensure(config(tmp_path, "trixie"))
    assert apt.calls("apt-get") == []


@pytest.mark.parametrize("version", [None, "0.14.0", "of an odd kind"])
def test_restic_that_is_too_old_is_replaced(apt: Programs, restic: Path, version: str | None, tmp_path: Path) -> None:
    if version:
        have(restic, version)
    installing.ensure(config(tmp_path))
    assert installing.version() == (0, 18)
    words = [call[call.index("DPkg::Lock::Timeout=300") + 1 :] for call in apt.calls("apt-get")]
    assert words == [["update"], ["install", "--yes", "--no-install-recommends", "restic"]]


def test_newer_release_is_used_for_nothing_else(apt: Programs, tmp_path: Path) -> None:
    """It has lists of its own, from the server's own mirror."""
    installing.ensure(config(tmp_path, "trixie"))
    source = installing.LISTS / "newer.list"
    assert source.read_text() == "deb http://mirror.invalid/debian trixie main\n"
    assert (installing.LISTS / "lists/partial").is_dir()
    _, update, install = apt.calls("apt-get")
    for call in (update, install):
        assert f"Dir::Etc::sourcelist={source}" in call
        assert "Dir::Etc::sourceparts=-" in call and f"Dir::State::lists={installing.LISTS}/lists" in call


def test_mirror_is_known_only_after_an_update(apt: Programs, tmp_path: Path, restic: Path) -> None:
    """A new server has no package lists yet."""
    apt.add(
        "apt-get",
        f'case "$*" in *install*) install {tmp_path}/new {restic};; *update) touch {tmp_path}/lists;;\n'
        f"indextargets*) [ ! -e {tmp_path}/lists ] || {{ {MIRROR}; }};; esac",
    )
    installing.ensure(config(tmp_path, "trixie"))
    assert "mirror.invalid/debian trixie" in (installing.LISTS / "newer.list").read_text()


@pytest.mark.parametrize(
    ("release", "script", "says"),
    [
        ("trixie", "true", "apt knows no Debian mirror"),
        ("", "true", "restic is not there, and at least 0.16 is needed"),
        ("", "echo 'W: odd' >&2; echo 'E: no space' >&2; exit 100", "restic could not be installed: E: no space"),
        ("", "exit 100", "restic could not be installed: apt-get failed"),
    ],
)
def test_restic_that_cannot_be_had_is_one_line(
    apt: Programs, tmp_path: Path, release: str, script: str, says: str
) -> None:
    apt.add("apt-get", script)
    with pytest.raises(OSError, match=f"^{says}"):
        installing.ensure(config(tmp_path, release))
