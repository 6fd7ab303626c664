"""The vault with real GnuPG: for whom it encrypts, its errors, and what it leaves behind."""

from __future__ import annotations

import concurrent.futures
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from runner.errors import CoursehubError
from runner.project import Project
from runner.secrets.vault import Vault, keys_directory
from tests.support.root import eventually

pytestmark = pytest.mark.unit


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "root").mkdir()
    return Project(tmp_path / "root")


@pytest.fixture
def mine(project: Project, tmp_path: Path) -> Vault:
    return Vault(project, tmp_path / "mine")


@pytest.fixture
def theirs(project: Project, tmp_path: Path) -> Vault:
    return Vault(project, tmp_path / "theirs")


def agents(home: Path) -> list[str]:
    """Running gpg-agents of a home; a dead one that was not reaped yet has no command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if "gpg-agent" in command and str(home) in command:
            found.append(command)
    return found


@pytest.mark.parametrize("text", ["s3cret", "two\nlines\n", "Zoë 蕭 \u202e", "-----BEGIN X-----", "x" * 60_000])
def test_what_goes_in_comes_out(mine: Vault, text: str) -> None:
    message = mine.encrypt(text)
    assert message.startswith("-----BEGIN PGP MESSAGE-----\n")
    assert text[:20] not in message
    assert mine.decrypt(message, "x") == text


def test_the_key_is_made_once_private_and_outside_the_repository(project: Project, mine: Vault) -> None:
    said: list[str] = []
    first = mine.ensure_key(said.append)
    assert mine.ensure_key(said.append) == first
    assert len(said) == 1
    assert mine.home.stat().st_mode & 0o777 == 0o700
    (public,) = project.secrets.glob("keys/*.asc")
    assert "PUBLIC KEY" in public.read_text()
    assert "PRIVATE" not in "".join(path.read_text() for path in project.root.rglob("*") if path.is_file())
    assert mine.recipients() == {first: public}


def test_keys_are_outside_the_repository_by_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("COURSEHUB_KEYS", raising=False)
    assert keys_directory() == Path.home() / ".config/coursehub/gnupg"
    monkeypatch.setenv("COURSEHUB_KEYS", str(tmp_path / "k"))
    assert keys_directory() == tmp_path / "k"


def test_two_at_once_make_one_key(project: Project, tmp_path: Path) -> None:
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: Vault(project, tmp_path / "mine").ensure_key(), range(4)))
    assert len(set(made)) == 1


def test_no_agent_is_left_and_none_is_taken_from_another(mine: Vault) -> None:
    def ended() -> bool:
        # An agent that was told to stop confirms before it ends.
        return agents(mine.home) == []

    message = mine.encrypt("x")
    eventually(ended)
    with mine.agent():
        mine.decrypt(message, "x")
        assert len(agents(mine.home)) == 1
    eventually(ended)


def test_colleague_reads_what_was_encrypted_after_their_key(mine: Vault, theirs: Vault) -> None:
    before = mine.encrypt("old")
    fingerprint = theirs.ensure_key()
    with pytest.raises(
        CoursehubError, match=r"\.asc is new: whose key is it\? Remove it, or .*'coursehub secrets rotate'"
    ):
        mine.encrypt("new")
    assert mine.accept() == [mine.recipients()[fingerprint]]
    assert mine.accept() == []
    after = mine.encrypt("new")
    assert (mine.decrypt(after, "x"), theirs.decrypt(after, "x")) == ("new", "new")
    with pytest.raises(CoursehubError, match=r"^x is not encrypted for your key; .*'coursehub secrets rotate'"):
        theirs.decrypt(before, "x")


def test_teachers_cost_a_value_no_more_gpg(project: Project, tmp_path: Path) -> None:
    asked = 0

    class Counting(Vault):
        def private_keys(self) -> list[str]:
            nonlocal asked
            asked += 1
            return super().private_keys()

    def asks() -> int:
        nonlocal asked
        asked = 0
        mine.encrypt("x")
        return asked

    mine = Counting(project, tmp_path / "mine")
    mine.encrypt("x")
    alone = asks()
    for name in ("one", "two"):
        Vault(project, tmp_path / name).ensure_key()
    mine.accept()
    assert asks() == alone


def test_a_colleague_whose_key_was_taken_out_reads_nothing_new(mine: Vault, theirs: Vault) -> None:
    fingerprint = theirs.ensure_key()
    mine.ensure_key()
    mine.recipients()[fingerprint].unlink()
    with pytest.raises(CoursehubError, match="not encrypted for your key"):
        theirs.decrypt(mine.encrypt("new"), "x")


def test_no_key_here(mine: Vault, theirs: Vault) -> None:
    message = mine.encrypt("x")
    with pytest.raises(CoursehubError, match=r"theirs has no key; copy yours there, or run 'coursehub secrets key'"):
        theirs.decrypt(message, "pillar/secrets/phys.sls")


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:150] + ("A" if text[150] != "A" else "B") + text[151:],
        lambda text: text[: len(text) // 2] + "\n-----END PGP MESSAGE-----\n",
        lambda _: "rubbish",
        lambda _: "",
    ],
)
def test_a_damaged_message_is_one_line(mine: Vault, damage: object) -> None:
    message = mine.encrypt("s3cret " * 20)
    with pytest.raises(
        CoursehubError, match=r"^here is damaged \(.*\); take the last good version from git$"
    ) as caught:
        mine.decrypt(damage(message), "here")  # type: ignore[operator]
    assert "s3cret" not in str(caught.value)


def test_a_file_among_the_keys_that_is_no_public_key(project: Project, mine: Vault) -> None:
    mine.ensure_key()
    (project.secrets / "keys" / "x.asc").write_text("not a key\n")
    with pytest.raises(CoursehubError, match=r"pillar/secrets/keys/x.asc is not one public key; write it again"):
        mine.encrypt("x")
    (project.secrets / "keys" / "x.asc").write_text("-----BEGIN PGP PRIVATE KEY BLOCK-----\n")
    with pytest.raises(CoursehubError, match="holds a private key"):
        mine.encrypt("x")


def test_without_gnupg_one_line_names_the_package(mine: Vault, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    message = mine.encrypt("x")
    monkeypatch.setenv("PATH", str(tmp_path))
    for call in (lambda: mine.encrypt("x"), lambda: mine.decrypt(message, "x")):
        with pytest.raises(
            CoursehubError, match=r"^GnuPG is missing; run 'sudo apt-get install gnupg', then this again$"
        ):
            call()


def test_nothing_secret_is_an_argument(mine: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []
    run = subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda argv, **options: (seen.append(argv), run(argv, **options))[1])
    mine.decrypt(mine.encrypt("s3cret"), "x")
    assert seen
    assert not [part for argv in seen for part in argv if "s3cret" in part]


def test_salt_gets_the_key_directory(project: Project, mine: Vault) -> None:
    mine.tell_salt()
    path = project.state / "salt.d" / "keys.conf"
    assert yaml.safe_load(path.read_text()) == {"gpg_keydir": str(mine.home)}
    master = (Path(__file__).resolve().parents[2] / "salt/config/master").read_text()
    included = re.search(r"^default_include: \.\./\.\./(.*)/\*\.conf$", master, re.MULTILINE)
    assert included
    assert project.root / included[1] == path.parent
