"""Keys of a teacher's computer: one encrypted file, and a new computer from only that file and a clone."""

from __future__ import annotations

import json
import re
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runner.errors import CoursehubError
from runner.project import Project
from runner.secrets import Secrets, archive, sealed
from runner.secrets.vault import KEYS_VARIABLE, Vault
from runner.servers.access import Access
from runner.verbs import keys
from tests.support.local_api import Api

pytestmark = pytest.mark.unit
WORDS = "seven fat cats eat a quiet lunch"

Moved = Callable[[], Project]


@pytest.fixture
def moved(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Moved:
    """Switches to another computer: a clone's course files, an empty home, no keys."""

    def move() -> Project:
        other = Project(tmp_path / "other")
        shutil.copytree(project.root, other.root, symlinks=True, ignore=shutil.ignore_patterns(".coursehub"))
        monkeypatch.setenv(KEYS_VARIABLE, str(tmp_path / "other-keys"))
        monkeypatch.setenv("COURSEHUB_ROOT", str(other.root))
        return other

    return move


def test_a_new_computer_goes_on(coursehub: Any, api: Api, project: Project, moved: Moved, tmp_path: Path) -> None:
    """The new computer knows the server and can read the secrets, and ``down`` can delete the old computer's server."""
    coursehub("up", "phys", "--yes")
    Secrets(project, "phys").set("api-key", "s3cret")
    server, key = Access(project, "phys").server(), Access(project, "phys").client_key()
    document = keys.backup(project, tmp_path / "my.keys", WORDS)
    assert document["courses"] == ["phys"]
    other = moved()
    assert Access(other, "phys").server() is None
    assert "was made" in coursehub("down", "phys", "--yes").line
    keys.restore(other, tmp_path / "my.keys", WORDS, replace=False)
    assert Access(other, "phys").server() == server
    assert Access(other, "phys").client_key() == key
    assert Secrets(other, "phys").get("api-key") == "s3cret"
    assert str(server.ip if server else "") in (other.state / "roster").read_text()
    assert coursehub("status", "--json").document["courses"][0]["state"] == "active"
    assert coursehub("down", "phys", "--yes").code == 0
    with api.cloud.reading() as store:
        assert store.account.droplets == []


def test_the_file_is_encrypted_and_private(project: Project, tmp_path: Path) -> None:
    Access(project, "phys").client_key()
    target = tmp_path / "my.keys"
    keys.backup(project, target, WORDS)
    sheet = tmp_path / "my.keys.sheet.txt"
    assert [stat.S_IMODE(path.stat().st_mode) for path in (target, sheet)] == [0o600, 0o600]
    assert b"OPENSSH" not in target.read_bytes()
    assert WORDS not in sheet.read_text()
    # GnuPG and tar can open it without coursehub.
    gpg = ["gpg", "--homedir", str(tmp_path), "--batch", "--pinentry-mode", "loopback", "--passphrase-fd", "0"]
    command = [*gpg, "--decrypt", str(target)]
    done = subprocess.run(command, input=WORDS.encode(), capture_output=True, check=True)
    names = subprocess.run(["tar", "-tJ"], input=done.stdout, capture_output=True, check=True).stdout.decode().split()
    assert "state/servers/phys/client_key" in names


def test_a_made_passphrase_is_on_the_sheet(project: Project, tmp_path: Path) -> None:
    Access(project, "phys").client_key()
    keys.backup(project, tmp_path / "my.keys", None)
    sheet = (tmp_path / "my.keys.sheet.txt").read_text()
    (made,) = re.findall(r"^Passphrase: +(\S+)$", sheet, re.MULTILINE)
    assert sealed.unseal((tmp_path / "my.keys").read_bytes(), made, "my.keys")
    assert len({sealed.make_passphrase() for _ in range(50)}) == 50


@pytest.mark.parametrize("wrong", ["passphrase", "flipped", "cut", "other"])
def test_what_cannot_be_read_changes_nothing(project: Project, moved: Moved, tmp_path: Path, wrong: str) -> None:
    Access(project, "phys").client_key()
    target = tmp_path / "my.keys"
    keys.backup(project, target, WORDS)
    content = target.read_bytes()
    spoiled = {
        "flipped": content[:-40] + bytes([content[-40] ^ 1]) + content[-39:],
        "cut": content[: len(content) // 2],
        "other": b"no such file at all",
    }
    target.write_bytes(spoiled.get(wrong, content))
    other = moved()
    with pytest.raises(CoursehubError) as said:
        keys.restore(other, target, "another passphrase, of length" if wrong == "passphrase" else WORDS, replace=False)
    assert "\n" not in str(said.value)
    assert list(other.state.iterdir()) == []


def test_other_files_are_never_overwritten_unasked(project: Project, moved: Moved, tmp_path: Path) -> None:
    Access(project, "phys").client_key()
    keys.backup(project, tmp_path / "my.keys", WORDS)
    other = moved()
    newer = Access(other, "phys").client_key()
    with pytest.raises(CoursehubError, match=r"newer \(.*client_key") as said:
        keys.restore(other, tmp_path / "my.keys", WORDS, replace=False)
    assert said.value.exit_code == 2
    assert Access(other, "phys").client_key() == newer
    done = keys.restore(other, tmp_path / "my.keys", WORDS, replace=True)
    assert Access(other, "phys").client_key() == Access(project, "phys").client_key()
    kept = other.root / done["replaced"] / ".coursehub/servers/phys/client_key"
    assert kept.read_text() == newer.private
    # A second time there is nothing to do.
    assert keys.restore(other, tmp_path / "my.keys", WORDS, replace=False)["written"] == 0


def test_the_key_of_this_computer_stays_beside(project: Project, moved: Moved, tmp_path: Path) -> None:
    old = Vault(project).ensure_key()
    keys.backup(project, tmp_path / "my.keys", WORDS)
    other = moved()
    own = Vault(other).ensure_key()
    keys.restore(other, tmp_path / "my.keys", WORDS, replace=False)
    assert set(Vault(other).private_keys()) == {old, own}


@pytest.mark.parametrize("name", ["../evil", "state/../../evil", "/etc/evil", "evil", "home/x"])
def test_no_file_leads_out_of_the_working_copy(project: Project, tmp_path: Path, name: str) -> None:
    content = archive.pack({keys._ABOUT: json.dumps({"made": 1}).encode(), name: b"x"})
    (tmp_path / "bad.keys").write_bytes(sealed.seal(content, WORDS))
    with pytest.raises(CoursehubError, match="no backup of keys has"):
        keys.restore(project, tmp_path / "bad.keys", WORDS, replace=True)


@pytest.mark.parametrize("weak", ["short", "aaaaaaaaaaaaaaaaaaaaaaaa", ""])
def test_a_weak_passphrase_is_refused(coursehub: Any, project: Project, tmp_path: Path, weak: str) -> None:
    del project
    (tmp_path / "words").write_text(f"{weak}\n")
    ended = coursehub("keys", "backup", str(tmp_path / "my.keys"), "--passphrase-file", str(tmp_path / "words"))
    assert ended.code == 2
    assert not (tmp_path / "my.keys").exists()
    assert weak not in ended.line or not weak


def test_the_verbs_take_the_passphrase_from_a_file(
    coursehub: Any, project: Project, moved: Moved, tmp_path: Path
) -> None:
    Access(project, "phys").client_key()
    (tmp_path / "words").write_text(f"{WORDS}\r\n")
    given = ("--passphrase-file", str(tmp_path / "words"))
    made = coursehub("keys", "backup", str(tmp_path / "my.keys"), *given)
    assert made.code == 0
    assert "my.keys.sheet.txt" in made.out
    assert coursehub("keys", "backup", str(tmp_path / "my.keys"), *given).code == 2
    other = moved()
    assert coursehub("keys", "restore", str(tmp_path / "my.keys"), *given).code == 0
    assert Access(other, "phys").key_file.exists()
    assert coursehub("keys", "restore", str(tmp_path / "none.keys"), *given).code == 2
