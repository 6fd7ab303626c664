"""Directories of a backup that are put in their places: what counts as unused, and which rights files get."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest
from coursehub_backup import restoring, trees
from coursehub_backup.numbers import Translation
from coursehub_backup.restic import Restic

pytestmark = pytest.mark.unit
_NOBODY_HERE = Translation(lambda _uid: None, lambda _gid: None)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A new home, ``root/home/ada``, with the skeleton's only file."""
    for directory in (tmp_path / "skel", tmp_path / "root/home/ada"):
        directory.mkdir(parents=True)
        (directory / ".profile").write_text("PATH=1")
    monkeypatch.setattr(trees, "SKELETON", tmp_path / "skel")
    return tmp_path / "root/home/ada"


def test_new_home_is_unused(home: Path) -> None:
    assert trees.is_unused(home)


@pytest.mark.parametrize("change", ["another file", "longer", "shorter", "same length"])
def test_home_with_a_change_is_used(change: str, home: Path) -> None:
    if change == "another file":
        (home / "lab.ipynb").touch()
    else:
        text = {"longer": "PATH=12", "shorter": "PATH=", "same length": "PATH=2"}[change]
        (home / ".profile").write_text(text)
    assert not trees.is_unused(home)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("kind", ["pipe", "link"])
def test_file_that_becomes_a_pipe_or_a_link_does_not_hang(kind: str, home: Path, tmp_path: Path) -> None:
    """Its owner replaces it after the look at its kind."""
    with os.scandir(home) as entries:
        (seen,) = entries
    with os.scandir(tmp_path / "skel") as entries:
        (wanted,) = entries
    assert seen.is_file(follow_symlinks=False)
    (home / ".profile").unlink()
    if kind == "pipe":
        os.mkfifo(home / ".profile")
    else:
        (home / ".profile").symlink_to(tmp_path / "skel/.profile")
    assert not trees._is_same(seen, wanted)


def test_file_of_somebody_who_left_gives_nobody_roots_rights(tmp_path: Path) -> None:
    """In a team's directory an owner or a group that is not here any more becomes root."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    team = tmp_path / "red"
    team.mkdir()
    for name, uid, gid in (("left", 4001, 5001), ("member", 4002, 5001), ("root", 0, 5001), ("group", 4002, 5002)):
        (team / name).touch()
        os.chown(team / name, uid, gid)
        (team / name).chmod(0o6755)
    team.chmod(0o2770)
    keep = trees.Keep(
        lambda found: {4002: 7002}.get(found.st_uid, 0), lambda found: {5001: 8001}.get(found.st_gid, 0), _NOBODY_HERE
    )
    trees.settle(team, keep)
    assert {path.name: oct(stat.S_IMODE(path.stat().st_mode)) for path in team.iterdir()} == {
        "left": "0o755",
        "member": "0o6755",
        "root": "0o6755",
        "group": "0o755",
    }
    assert stat.S_IMODE(team.stat().st_mode) == 0o2770


class Answers(Restic):
    """A restic that answers one after the other; each is an exit code and an error line."""

    def __init__(self, *answers: tuple[int, bytes]) -> None:
        self.answers = [*answers]

    def run(self, *_arguments: str, accept: tuple[int, ...] = ()) -> subprocess.CompletedProcess[bytes]:
        code, said = self.answers.pop(0)
        assert code in (0, *accept)
        return subprocess.CompletedProcess([], code, b"", said)


OLD_RESTIC, NEW_RESTIC = b"ignoring error for /lab: bad blob", b'{"message_type":"error","error":{}}'


def test_file_that_is_read_at_the_second_try_is_not_missing(home: Path) -> None:
    restic = Answers((1, NEW_RESTIC), (0, b""))
    assert restoring.fetch_what_is_there(restic, "s", home, home.parent) == 0


@pytest.mark.parametrize("line", [OLD_RESTIC, NEW_RESTIC])
def test_unreadable_files_are_counted_for_each_restic(line: bytes, home: Path) -> None:
    restic = Answers((1, line), (1, line))
    assert restoring.fetch_what_is_there(restic, "s", home, home.parent) == 1
