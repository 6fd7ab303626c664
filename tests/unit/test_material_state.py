"""The state that mirrors git repositories: real git on files of this host, no machine and no network."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from salt.exceptions import CommandExecutionError

from tests.support.loading import load
from tests.support.sandbox import REPO

pytestmark = pytest.mark.unit


def git(where: Path, *words: str) -> str:
    argv = ["git", "-c", "user.name=t", "-c", "user.email=t@example.edu", *words]
    return subprocess.run(argv, cwd=where, capture_output=True, text=True, check=True).stdout.strip()


class Server:
    """The fetching program and the state that starts it, on a test's directory.

    Addresses are files: real git, without a network.
    """

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.mirrors = root / "mirrors"
        self.mirrors.mkdir()
        self.state = load(REPO / "salt/_states/material.py")
        self.fetcher = load(REPO / "formulas/material/files/coursehub_material.py")
        self.fetcher.CONFIG, self.fetcher.STATE = root / "material.json", root
        self.state.STATUS = root / "status.json"
        self.state.__opts__ = {"test": False}
        self.state.__salt__ = {"service.start": lambda _unit: self.run()}
        self.runs = 0
        original = self.fetcher.environment
        monkeypatch.setattr(
            self.fetcher, "environment", lambda *given: {**original(*given), "GIT_ALLOW_PROTOCOL": "file"}
        )

    def run(self) -> None:
        """What systemd starts."""
        self.runs += 1
        self.fetcher.main()

    def configure(self, **repositories: dict[str, str]) -> dict[str, Any]:
        entries = {
            name: {"url": "", "branch": "main", "host_key": "", "key": "", **given}
            for name, given in repositories.items()
        }
        (self.root / "material.json").write_text(
            json.dumps(
                {
                    "repositories": entries,
                    "mirrors": str(self.mirrors),
                    "keys": str(self.root / "keys"),
                    "known_hosts": {"github.com": "ssh-ed25519 AAAA"},
                }
            )
        )
        return entries

    def apply(self, **repositories: dict[str, str]) -> dict[str, Any]:
        entries = self.configure(**repositories)
        self.runs = 0
        done: dict[str, Any] = self.state.mirrored(str(self.mirrors), entries)
        return done


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    return Server(tmp_path, monkeypatch)


@pytest.fixture
def labs(tmp_path: Path) -> Path:
    """A teacher's working copy, pushed to a bare repository beside it."""
    bare, copy = tmp_path / "labs.git", tmp_path / "labs"
    git(tmp_path, "init", "-q", "--bare", "-b", "main", str(bare))
    git(tmp_path, "clone", "-q", str(bare), str(copy))
    git(copy, "checkout", "-q", "-b", "main")
    publish(copy, "one")
    git(copy, "checkout", "-q", "-b", "solutions")
    publish(copy, "answers")
    git(copy, "checkout", "-q", "main")
    return copy


def publish(copy: Path, content: str, *amend: str) -> str:
    (copy / "lab.py").write_text(content)
    git(copy, "add", "-A")
    git(copy, "commit", "-q", "-m", content, *amend)
    git(copy, "push", "-q", "--force", "origin", "HEAD")
    return git(copy, "rev-parse", "HEAD")


def refs(mirror: Path) -> list[str]:
    return git(mirror, "for-each-ref", "--format=%(refname)").split()


def test_a_mirror_is_made_once_and_then_left_to_the_timer(server: Server, labs: Path) -> None:
    url = (labs.parent / "labs.git").as_uri()
    done = server.apply(labs={"url": url})
    first = git(labs, "rev-parse", "HEAD")
    assert (done["result"], done["changes"]) == (True, {"labs": {"old": None, "new": first}})
    # Only the branch that students get: solutions may be in another one.
    assert refs(server.mirrors / "labs") == ["refs/heads/main"]
    again = server.apply(labs={"url": url})
    assert (again["result"], again["changes"], server.runs) == (True, {}, 0)
    second = publish(labs, "two")
    server.run()
    assert git(server.mirrors / "labs", "rev-parse", "HEAD") == second
    assert server.apply(labs={"url": url})["changes"] == {}


def test_a_plan_fetches_nothing(server: Server, labs: Path) -> None:
    server.state.__opts__ = {"test": True}
    done = server.apply(labs={"url": (labs.parent / "labs.git").as_uri()})
    assert (done["result"], done["changes"], server.runs) == (None, {"labs": "would be fetched"}, 0)


def test_a_rewritten_history_is_mirrored(server: Server, labs: Path) -> None:
    server.apply(labs={"url": (labs.parent / "labs.git").as_uri()})
    newest = publish(labs, "better", "--amend")
    server.run()
    assert git(server.mirrors / "labs", "rev-parse", "HEAD") == newest


def test_another_branch_takes_the_place_of_the_one_before(server: Server, labs: Path) -> None:
    url = (labs.parent / "labs.git").as_uri()
    server.apply(labs={"url": url})
    done = server.apply(labs={"url": url, "branch": "solutions"})
    assert done["result"]
    assert set(done["changes"]) == {"labs"}
    assert refs(server.mirrors / "labs") == ["refs/heads/solutions"]
    assert git(server.mirrors / "labs", "symbolic-ref", "HEAD") == "refs/heads/solutions"


def test_a_wrong_branch_fails_and_the_mirror_stays(server: Server, labs: Path) -> None:
    url = (labs.parent / "labs.git").as_uri()
    server.apply(labs={"url": url})
    head = git(labs, "rev-parse", "HEAD")
    done = server.apply(labs={"url": url, "branch": "autumn"})
    assert (done["result"], done["changes"]) == (False, {})
    assert f"labs: {url} has no branch autumn; correct branch; students go on with {head[:7]} of " in done["comment"]
    assert git(server.mirrors / "labs", "rev-parse", "HEAD") == head
    # Tried again until it is corrected.
    assert server.apply(labs={"url": url, "branch": "autumn"})["result"] is False
    assert server.runs > 0
    assert server.apply(labs={"url": url})["result"] is True


def test_one_that_cannot_be_had_yet_fails_alone(server: Server, labs: Path) -> None:
    done = server.apply(labs={"url": (labs.parent / "labs.git").as_uri()}, other={"url": "file:///nowhere/x.git"})
    assert done["result"] is False
    assert set(done["changes"]) == {"labs"}
    assert "students cannot have it yet" in done["comment"]
    assert not (server.mirrors / "other").exists()
    assert not (server.mirrors / ".other.new").exists()


def test_a_host_that_is_away_is_a_warning_where_a_mirror_is(server: Server, labs: Path) -> None:
    url = (labs.parent / "labs.git").as_uri()
    server.apply(labs={"url": url})
    status = json.loads((server.root / "status.json").read_text())
    away = server.fetcher.explain({"url": "git@github.com:x/y.git", "branch": "main"}, SAID[0][0])
    status["labs"]["problem"] = {"kind": away.kind, "line": str(away), "since": "now"}
    (server.root / "status.json").write_text(json.dumps(status))
    done = server.apply(labs={"url": url})
    assert (done["result"], done["changes"], server.runs) == (True, {}, 0)
    assert done["warnings"] == [done["comment"].removeprefix("WARNING ")]
    assert "github.com does not answer" in done["comment"]


def test_what_left_the_course_goes(server: Server, labs: Path) -> None:
    url = (labs.parent / "labs.git").as_uri()
    server.apply(labs={"url": url}, more={"url": url})
    done = server.apply(labs={"url": url})
    assert (done["result"], done["changes"]) == (True, {"more": "removed"})
    assert [path.name for path in server.mirrors.iterdir()] == ["labs"]


def test_interrupted_run_is_continued(server: Server, labs: Path) -> None:
    url = (labs.parent / "labs.git").as_uri()
    (server.mirrors / ".labs.new").mkdir()
    (server.mirrors / ".labs.new" / "HEAD").write_text("half")
    (server.root / "status.json").write_text("{")
    assert server.apply(labs={"url": url})["result"]
    assert server.apply(labs={"url": url})["changes"] == {}


def damage(mirror: Path) -> None:
    """As a power cut may leave files whose content was not on the disk yet."""
    for path in mirror.glob("objects/??/*"):
        path.chmod(0o600)
        path.write_bytes(b"")


@pytest.mark.parametrize("how", ["objects", "HEAD", "ref", "lock", "config"])
def test_damaged_mirror_is_made_again(server: Server, labs: Path, how: str) -> None:
    url = (labs.parent / "labs.git").as_uri()
    server.apply(labs={"url": url}, other={"url": url})
    mirror, newest = server.mirrors / "labs", publish(labs, "two")
    if how == "objects":
        damage(mirror)
    elif how == "lock":
        (mirror / "refs/heads/main.lock").touch()
    else:
        (mirror / {"HEAD": "HEAD", "ref": "refs/heads/main", "config": "config"}[how]).write_text("")
    server.run()
    for name in ("labs", "other"):
        assert git(server.mirrors / name, "show", "main:lab.py") == "two"
    assert sorted(path.name for path in server.mirrors.iterdir()) == ["labs", "other"]
    done = server.apply(labs={"url": url}, other={"url": url})
    assert (done["result"], done["comment"]) == (True, f"labs at {newest[:7]}, other at {newest[:7]}")


def test_a_mirror_stays_until_a_whole_one_is_beside_it(server: Server, labs: Path) -> None:
    url = (labs.parent / "labs.git").as_uri()
    server.apply(labs={"url": url})
    head = git(labs, "rev-parse", "HEAD")
    publish(labs, "two")
    damage(labs.parent / "labs.git")
    server.run()
    done = server.apply(labs={"url": url})
    assert (done["result"], done["changes"]) == (True, {})
    (warning,) = done["warnings"]
    assert f"labs: {url} cannot be fetched (" in warning
    assert git(server.mirrors / "labs", "rev-parse", "HEAD") == head
    assert [path.name for path in server.mirrors.iterdir()] == ["labs"]


@pytest.mark.parametrize("how", ["git", "file"])
def test_what_the_server_cannot_keep_fails_alone(
    server: Server, labs: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    url = (labs.parent / "labs.git").as_uri()
    given = {"first": {"url": url}, "labs": {"url": url}}
    original = server.fetcher.environment

    def full(mirror: Path, config: dict[str, Any], protocol: str) -> Any:
        if "first" in mirror.name:
            raise OSError(28, "No space left on device", "known_hosts")
        return original(mirror, config, protocol)

    with monkeypatch.context() as patch:
        if how == "file":
            patch.setattr(server.fetcher, "environment", full)
        else:
            (server.mirrors / ".first.new").write_text("")
        for changed in ({"labs"}, set()):
            done = server.apply(**given)
            assert (done["result"], set(done["changes"]), server.runs) == (False, changed, 1)
            assert f"first: the server cannot keep {url} (" in done["comment"]
    (server.mirrors / ".first.new").unlink(missing_ok=True)
    assert set(server.apply(**given)["changes"]) == {"first"}


def test_a_status_that_cannot_be_written_is_not_an_old_one(server: Server, labs: Path) -> None:
    url = (labs.parent / "labs.git").as_uri()
    server.apply(first={"url": url}, labs={"url": url})
    publish(labs, "two")
    (server.root / "status.json.new").mkdir()
    with pytest.raises(OSError, match=r"status\.json\.new"):
        server.run()
    for name in ("first", "labs"):
        assert git(server.mirrors / name, "show", "main:lab.py") == "two"
    server.state.__salt__ = {"service.start": lambda _unit: None}
    done = server.apply(first={"url": url}, labs={"url": url})
    assert done["result"] is False
    assert "labs: coursehub-material.service did not process it" in done["comment"]


def test_program_that_does_not_run_is_reported(server: Server) -> None:
    def refuse(_unit: str) -> None:
        raise CommandExecutionError("Job failed")

    server.state.__salt__ = {"service.start": refuse}
    done = server.apply(labs={"url": "file:///x"})
    assert done["result"] is False
    assert "did not process it; 'journalctl -u coursehub-material.service'" in done["comment"]


#: Real messages of git and ssh (git 2.39 and 2.47, OpenSSH 9.2 and 10.0), with the kind and text for a teacher.
SAID = [
    (
        "ssh: Could not resolve hostname github.com: Temporary failure in name resolution\nfatal: Could not read from "
        "remote repository.\n\nPlease make sure you have the correct access rights\nand the repository exists.",
        "away", "github.com does not answer (Could not resolve hostname",
    ),
    (
        "ssh: connect to host github.com port 22: Connection timed out\nfatal: Could not read from remote repository.",
        "away", "github.com does not answer",
    ),
    (
        "fatal: unable to access 'https://github.com/x/': Failed to connect to github.com port 443 after 10 ms: "
        "Connection refused", "away", "github.com does not answer",
    ),
    (
        "fatal: unable to access 'https://github.com/x/': Failed to connect to github.com port 443 after 0 ms: "
        "Couldn't connect to server", "away", "github.com does not answer",
    ),
    (
        "fatal: unable to access 'https://github.com/x/': Failed to connect to github.com port 443 after 0 ms: "
        "Could not connect to server", "away", "github.com does not answer",
    ),
    (
        "fatal: unable to access 'https://github.com/x/': Operation too slow. Less than 1 bytes/sec transferred the "
        "last 30 seconds", "away", "github.com does not answer",
    ),
    ("fatal: unable to access 'https://github.com/x/': The requested URL returned error: 429", "away", "error: 429"),
    ("error: RPC failed; HTTP 502\nfatal: the requested URL returned error: 502", "away", "error: 502"),
    (
        "git@github.com: Permission denied (publickey).\nfatal: Could not read from remote repository.",
        "wrong", "github.com does not accept the deploy key for git@github.com:x/y.git; paste its public half",
    ),
    (
        "No ED25519 host key is known for github.com and you have requested strict checking.\nHost key verification "
        "failed.\nfatal: Could not read from remote repository.",
        "wrong", "github.com shows another SSH key than the known one, so nothing was fetched",
    ),
    (
        "ERROR: Repository not found.\nfatal: Could not read from remote repository.",
        "wrong", "is no repository that this server may read",
    ),
    ("fatal: repository 'https://github.com/x/' not found", "wrong", "is no repository that this server may read"),
    (
        "fatal: could not read Username for 'https://github.com': terminal prompts disabled",
        "wrong", "is no repository that this server may read; correct it, or use the git@ one",
    ),
    ("fatal: couldn't find remote ref refs/heads/main", "wrong", "has no branch main; correct branch"),
    (
        "fatal: unable to access 'https://github.com/x/': server certificate verification failed. CAfile: none",
        "wrong", "the certificate of github.com is not trusted",
    ),
    (
        "error: unable to write file ./objects/pack/tmp_pack_x: No space left on device\nfatal: unpack-objects error",
        "server", "the server cannot keep git@github.com:x/y.git (unable to write file ./objects/pack/tmp_pack_x: No",
    ),
    ("remote: fatal: write error: No space left on device\nfatal: early EOF", "unclear", "be fetched (early EOF)"),
    (
        "error: cannot lock ref 'refs/heads/main': Unable to create 'refs/heads/main.lock': Permission denied",
        "unclear", "cannot be fetched (cannot lock ref",
    ),
    ("", "unclear", "cannot be fetched (git gave no reason)"),
]  # fmt: skip


@pytest.mark.parametrize(("said", "kind", "line"), SAID, ids=[line[:30] for _, _, line in SAID])
def test_what_git_says_becomes_one_line(server: Server, said: str, kind: str, line: str) -> None:
    found = server.fetcher.explain({"url": "git@github.com:x/y.git", "branch": "main"}, said)
    assert found.kind == kind
    assert line in str(found)
    assert "\n" not in str(found)


def test_no_host_is_trusted_that_is_not_known(server: Server) -> None:
    server.configure(
        one={"url": "ssh://git@git.example.edu:2222/x.git", "host_key": "ssh-ed25519 BBBB"},
        two={"url": "git@github.com:x/y.git", "host_key": "ssh-ed25519 CCCC"},
        three={"url": "git@git.example.edu:x/y.git", "host_key": "ssh-rsa DDDD"},
    )
    config = json.loads((server.root / "material.json").read_text())
    environment = server.fetcher.environment(server.mirrors / ".one.new", config, "https:ssh")
    assert (server.root / "known_hosts").read_text().splitlines() == [
        "github.com ssh-ed25519 CCCC", "[git.example.edu]:2222 ssh-ed25519 BBBB", "git.example.edu ssh-rsa DDDD",
    ]  # fmt: skip
    ssh = environment["GIT_SSH_COMMAND"]
    assert "StrictHostKeyChecking=yes" in ssh
    assert f"-i {server.root}/keys/one " in ssh
    assert environment["GIT_TERMINAL_PROMPT"] == "0"
