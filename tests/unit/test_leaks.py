"""What the runner and the pre-commit hook refuse in git; real git, real keys made for the test."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from runner.errors import CoursehubError
from runner.people import ClassList, write
from runner.project import Project
from runner.secrets import Secrets, leaks
from runner.servers.access import KeyPair
from runner.session import connect
from tests.support.class_lists import BLACKBOARD, BRIGHTSPACE, spreadsheet

pytestmark = pytest.mark.unit

REPO = Path(__file__).resolve().parents[2]


def git(project: Project, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=project.root, check=True, capture_output=True)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("COURSEHUB_KEYS", str(tmp_path / "keys"))
    made = Project(tmp_path / "root")
    (made.root / "pillar" / "courses").mkdir(parents=True)
    git(made, "init", "-q")
    return made


def track(project: Project, name: str, content: str | bytes) -> None:
    path = project.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    git(project, "add", "--force", name)


KEY = KeyPair.generate("x").private
#: Old OpenSSL wrote keys with a passphrase in this format.
WITH_HEADERS = (
    "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,8A\n\n" + KEY.partition("\n")[2]
)


def test_what_is_encrypted_is_fine(project: Project) -> None:
    Secrets(project, "phys").set("google-client-secret", "s3cret")
    write(project, "phys", ClassList())
    git(project, "add", "pillar")
    track(project, "README.md", "A line about -----BEGIN OPENSSH PRIVATE KEY----- is no key.\n")
    assert leaks.find(project) == []


@pytest.mark.parametrize(
    ("name", "text", "line", "says"),
    [
        ("notes/id", KEY, 1, "a private key in clear"),
        ("a b/ü.sls", "key: |\n" + "".join(f"  {line}\n" for line in KEY.splitlines()), 2, "a private key in clear"),
        ("windows.pem", KEY.replace("\n", "\r\n"), 1, "a private key in clear"),
        ("deploy.py", f'KEY="{KEY}"\n', 1, "a private key in clear"),
        ("settings.py", f'A = 1\nKEY = """{KEY}"""\n', 2, "a private key in clear"),
        ("account.json", json.dumps({"type": "x", "private_key": KEY}), 1, "a private key in clear"),
        ("in.json", json.dumps({"file": json.dumps({"private_key": KEY})}), 1, "a private key in clear"),
        ("old.json", json.dumps({"key": WITH_HEADERS}), 1, "a private key in clear"),
        ("old.pem", WITH_HEADERS, 1, "a private key in clear"),
        ("deploy.sh", f"export TOKEN=dop_v1_{'0a' * 32}\n", 1, "a DigitalOcean token in clear"),
        ("pillar/secrets/phys.sls", "#!yaml|gpg\ntoken: s3cret\n", 1, "not encrypted"),
        ("pillar/secrets/phys-people.sls", "#!gpg|yaml\npeople: {}\n", 1, "not encrypted"),
        ("pillar/secrets/note.txt", "the password is s3cret\n", 1, "not encrypted"),
        ("pillar/secrets/keys/me.asc", "not a key\n", 1, "not a public key"),
        ("exports/list.csv", "OrgDefinedId,Username,Email\n#1,#a,a@x.edu\n", 1, "a class list in clear"),
        (
            "list.csv",
            '\ufeffStudent,ID,SIS User ID,SIS Login ID,Section\n"Lee, A",1,2,a,1\n',
            1,
            "a class list in clear",
        ),
        ("moodle.csv", "First name,Surname,ID number,Email address\nA,B,1,a@x.edu\n", 1, "a class list in clear"),
        (
            "moodle4.csv",
            '\ufeff"First name","Last name","Email address",Groups\nA,B,a@x.edu,\n',
            1,
            "a class list in clear",
        ),
        ("gc.csv", '"Last Name","First Name","Username","Student ID"\nA,B,a,1\n', 1, "a class list in clear"),
        (
            "users.csv",
            "Username,Last Name,First Name,Email,End-of-Line Indicator\n#a,A,B,a@x.edu,#\n",
            1,
            "a class list in clear",
        ),
        (".coursehub/roster", "{}\n", 1, "git tracks the state directory"),
    ],
)
def test_what_is_in_clear_is_one_line_and_stops_every_verb(
    project: Project, name: str, text: str, line: int, says: str
) -> None:
    track(project, name, text)
    (leak,) = leaks.find(project)
    assert (leak.file, leak.line) == (name, line)
    with pytest.raises(CoursehubError) as caught:
        connect(project, "phys", lambda _: None)
    assert str(caught.value).startswith(f"{name}:{line}: {says}")
    assert caught.value.exit_code == 2
    for secret in ("s3cret", "0a0a", KEY.splitlines()[1]):
        assert secret not in str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize(
    ("name", "text", "what"),
    [
        ("a b/gc_list.xls", BLACKBOARD, "a class list in clear"),
        ("list.csv", BRIGHTSPACE, "a class list in clear"),
        ("id", KEY, "a private key in clear"),
        ("token.ps1", f"$env:TOKEN = 'dop_v1_{'0a' * 32}'\n", "a DigitalOcean token in clear"),
        ("notes.txt", "Nothing that matters, as Windows' Notepad may write it.\n", None),
    ],
)
def test_what_windows_writes_is_read_too(
    project: Project, name: str, text: str, what: str | None, encoding: str
) -> None:
    """Blackboard exports UTF-16, PowerShell's ">" writes it, and git treats both as binary."""
    track(project, name, text.replace("\n", "\r\n").encode(encoding))
    assert [(leak.file, leak.what) for leak in leaks.find(project)] == ([(name, what)] if what else [])


def test_a_spreadsheet_is_looked_into_and_a_picture_is_not(project: Project) -> None:
    track(project, "docs/hub.png", (REPO / "docs/hub.png").read_bytes())
    track(project, "docs/hub", (REPO / "docs/hub.png").read_bytes())
    track(project, "prices.xlsx", spreadsheet([["Size", "Price"], ["s-4vcpu-8gb", 48]]))
    track(project, "damaged.xlsx", b"PK\x03\x04 not a zip \0")
    assert leaks.find(project) == []
    track(project, "class.xlsx", spreadsheet([["First name", "Surname", "Email address"], ["A", "B", "a@x.edu"]]))
    assert [str(leak).partition(";")[0] for leak in leaks.find(project)] == ["class.xlsx:1: a class list in clear"]


def test_what_a_merge_left_open_stops_nobody(project: Project) -> None:
    """An unmerged file is three times in git's index, and git shows no content for its name."""
    git(project, "-c", "user.name=x", "-c", "user.email=x@x.edu", "commit", "--allow-empty", "-qm", "x")
    track(project, "a b.bin", b"\0base")
    blob = subprocess.run(
        ["git", "rev-parse", ":a b.bin"], cwd=project.root, check=True, capture_output=True, text=True
    ).stdout.strip()
    stages = "".join(f"100644 {blob} {stage}\ta b.bin\n" for stage in (1, 2, 3))
    git(project, "rm", "-q", "--cached", "a b.bin")
    subprocess.run(["git", "update-index", "--index-info"], cwd=project.root, input=stages, text=True, check=True)
    assert leaks.find(project) == []


def test_a_value_beside_encrypted_ones_is_found(project: Project) -> None:
    Secrets(project, "phys").set("one", "s3cret")
    path = project.secrets_file("phys")
    track(project, "pillar/secrets/phys.sls", path.read_text() + "two: in clear\n")
    assert [leak.what for leak in leaks.find(project)] == ["not encrypted"]


def test_git_counts_and_not_the_working_copy(project: Project) -> None:
    track(project, "id", KEY)
    (project.root / "id").write_text("cleaned up, and not yet committed so\n")
    assert len(leaks.find(project)) == 1
    git(project, "add", "id")
    assert leaks.find(project) == []
    (project.root / "untracked").write_text(KEY)
    assert leaks.find(project) == []


@pytest.mark.parametrize("how", ["--batch-check", "--batch"])
def test_a_git_that_dies_midway_is_one_line(project: Project, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """As with a damaged object, or too little memory."""
    track(project, "a.bin", b"\0base")
    track(project, "b.bin", b"\0base")
    true = subprocess.run

    def dies(argv: list[str], **options: Any) -> Any:
        done = true(argv, **options)
        if argv[-1] != how:
            return done
        return subprocess.CompletedProcess(argv, -9, done.stdout[: len(done.stdout) // 2], b"")

    monkeypatch.setattr(leaks.subprocess, "run", dies)
    with pytest.raises(CoursehubError, match=r"git cannot say .* \(no reason given\); repair the checkout"):
        leaks.find(project)


def test_without_a_checkout_there_is_nothing_to_say(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    assert leaks.find(Project(tmp_path / "plain")) == []


def test_the_hook_ends_a_commit(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COURSEHUB_ROOT", str(project.root))
    assert leaks.main() == 0
    track(project, "id", KEY)
    assert leaks.main() == 1
    assert "id:1: a private key in clear" in capsys.readouterr().err


def test_this_repository_is_clean() -> None:
    began = time.monotonic()
    assert leaks.find(Project(REPO)) == []
    print(f"{(time.monotonic() - began) * 1000:.0f} ms")


def test_no_text_holds_the_search_up(project: Project) -> None:
    """Each text would take longer than a lesson if the pattern could match in more than one way."""
    start = "-----BEGIN PRIVATE KEY-----"
    texts = [f"{start}{part * 20_000}!" for part in ("a: ", "a: \\n", "\n", "\\\\n", "a: \\", "a-")]
    track(project, "long", "\n".join(texts))
    assert leaks.find(project) == []


def test_the_scanner_of_the_hook_knows_what_ours_does_not(tmp_path: Path) -> None:
    (tmp_path / "settings.py").write_text('aws_key = "AKIAIOSFODNN7EXAMPLQ"\n')
    hook = Path(sys.executable).parent / "detect-secrets-hook"
    done = subprocess.run([str(hook), "settings.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "AWS Access Key" in done.stdout
