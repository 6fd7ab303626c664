"""Mirrors of git repositories and data sets, as the server makes them: real git, a real HTTPS server, no machine."""

from __future__ import annotations

import functools
import grp
import hashlib
import http.server
import io
import json
import os
import socketserver
import subprocess
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from salt.exceptions import CommandExecutionError

from tests.support.authority import Authority
from tests.support.loading import load
from tests.support.serving import in_background

pytestmark = pytest.mark.unit
REPO = Path(__file__).parents[2]
MINE = grp.getgrgid(os.getgid()).gr_name


def git(where: Path, *words: str) -> str:
    argv = ["git", "-c", "user.name=t", "-c", "user.email=t@example.edu", *words]
    return subprocess.run(argv, cwd=where, capture_output=True, text=True, check=True).stdout.strip()


class Server:
    """The fetching program and the state that starts it, on a directory of the test's own.

    Addresses are files: real git, and no network.
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
    # The branch that students get and nothing else: answers may wait in another.
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
    # Asked again until it is corrected.
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


def test_an_interrupted_run_is_gone_on_with(server: Server, labs: Path) -> None:
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
def test_a_damaged_mirror_is_made_anew(server: Server, labs: Path, how: str) -> None:
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

    def full(mirror: Path, config: dict[str, Any]) -> Any:
        if "first" in mirror.name:
            raise OSError(28, "No space left on device", "known_hosts")
        return original(mirror, config)

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
    assert "labs: coursehub-material.service did not come to it" in done["comment"]


def test_a_program_that_does_not_run_is_told(server: Server) -> None:
    def refuse(_unit: str) -> None:
        raise CommandExecutionError("Job failed")

    server.state.__salt__ = {"service.start": refuse}
    done = server.apply(labs={"url": "file:///x"})
    assert done["result"] is False
    assert "did not come to it; 'journalctl -u coursehub-material.service'" in done["comment"]


#: What git and ssh really say (git 2.39 and 2.47, OpenSSH 9.2 and 10.0), with the kind and words that a teacher gets.
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
        "wrong", "github.com shows another SSH key than the one that is known, so nothing was fetched",
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
    environment = server.fetcher.environment(server.mirrors / ".one.new", config)
    assert (server.root / "known_hosts").read_text().splitlines() == [
        "github.com ssh-ed25519 CCCC", "[git.example.edu]:2222 ssh-ed25519 BBBB", "git.example.edu ssh-rsa DDDD",
    ]  # fmt: skip
    ssh = environment["GIT_SSH_COMMAND"]
    assert "StrictHostKeyChecking=yes" in ssh
    assert f"-i {server.root}/keys/one " in ssh
    assert environment["GIT_TERMINAL_PROMPT"] == "0"


# -- data sets -------------------------------------------------------------------------------------------------


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """One that the state trusts, and no proxy before its servers."""
    made = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.bundle))
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return made


@pytest.fixture
def website(tmp_path: Path, authority: Authority) -> Iterator[str]:
    """An HTTPS server that the state trusts; its files lie in ``tmp_path/web``."""
    (tmp_path / "web").mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(tmp_path / "web"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        running.socket = authority.server_context("127.0.0.1").wrap_socket(running.socket, server_side=True)
        in_background(running)
        yield f"https://127.0.0.1:{running.server_address[1]}"
        running.shutdown()


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Apply data sets below ``tmp_path/data``."""
    module = load(REPO / "salt/_states/material.py")
    module.RECORD = tmp_path / "record" / "data.json"
    module.__opts__ = {"test": False}
    module.__salt__ = {
        "cp.cache_file": lambda source: (
            str(path) if (path := tmp_path / "sent" / source.removeprefix("salt://data/")).exists() else ""
        )
    }
    (tmp_path / "sent").mkdir()
    if os.geteuid():
        # Only root can give the directory to root.
        monkeypatch.setattr(module.os, "chown", lambda *_: None)
        monkeypatch.setattr(module, "_closed", lambda root, _gid: not root.exists())

    def apply(test: bool = False, **sets: dict[str, Any]) -> dict[str, Any]:
        module.__opts__ = {"test": test}
        named = {name.replace("_", "."): given for name, given in sets.items()}
        done: dict[str, Any] = module.data(str(tmp_path / "data"), named, MINE)
        return done

    return apply


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def zipped(files: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return made.getvalue()


def test_a_file_is_stored_once_and_only_with_its_checksum(website: str, store: Any, tmp_path: Path) -> None:
    (tmp_path / "web" / "r.csv").write_bytes(b"1\n")
    given = {"source": f"{website}/r.csv", "sha256": digest(b"1\n"), "unpack": False}
    assert store(True, rain_csv=given)["result"] is None
    assert not (tmp_path / "data").exists()
    done = store(rain_csv=given)
    assert (done["result"], done["changes"]) == (True, {"rain.csv": "stored", "readers": MINE})
    path = tmp_path / "data" / "rain.csv"
    assert path.read_bytes() == b"1\n"
    assert (path.stat().st_mode & 0o777, (tmp_path / "data").stat().st_mode & 0o777) == (0o644, 0o750)
    # Not asked for again, whatever the address has by now.
    (tmp_path / "web" / "r.csv").write_bytes(b"2\n")
    assert store(rain_csv=given)["changes"] == {}
    # A new checksum brings the new file; a wrong one leaves the old.
    wrong = store(rain_csv={**given, "sha256": digest(b"3\n")})
    assert (wrong["result"], wrong["changes"]) == (False, {})
    assert f"has the SHA-256 {digest(bytes([50, 10]))} and not" in wrong["comment"]
    assert path.read_bytes() == b"1\n"
    assert store(rain_csv={**given, "sha256": digest(b"2\n")})["changes"] == {"rain.csv": "stored"}
    assert path.read_bytes() == b"2\n"
    assert sorted(one.name for one in (tmp_path / "data").iterdir()) == ["rain.csv"]
    assert store()["changes"] == {"rain.csv": "removed"}
    assert list((tmp_path / "data").iterdir()) == []


def test_an_address_that_answers_nothing_leaves_the_old(website: str, store: Any, tmp_path: Path) -> None:
    (tmp_path / "web" / "r.csv").write_bytes(b"1\n")
    given = {"source": f"{website}/r.csv", "sha256": digest(b"1\n"), "unpack": False}
    store(rain=given)
    done = store(rain={**given, "source": f"{website}/gone.csv", "sha256": digest(b"2\n")}, more={**given})
    assert done["result"] is False
    assert "rain: " in done["comment"]
    assert "/gone.csv cannot be had (" in done["comment"]
    assert done["changes"] == {"more": "stored"}
    assert (tmp_path / "data" / "rain").read_bytes() == b"1\n"
    assert (tmp_path / "data" / "more").read_bytes() == b"1\n"


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n1\n", " ended 98 bytes too early; nothing was replaced"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\n1\n", " cannot be had (IncompleteRead("),
        (b"hello\r\n\r\n", " cannot be had (hello"),
        (b"", " cannot be had ("),
    ],
    ids=["length", "chunked", "no HTTP", "nothing"],
)
def test_a_transfer_that_is_cut_off_is_no_wrong_checksum(
    store: Any, tmp_path: Path, authority: Authority, answer: bytes, says: str
) -> None:
    class Cut(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while self.rfile.readline().strip():
                pass
            self.wfile.write(answer)

    with socketserver.TCPServer(("127.0.0.1", 0), Cut) as running:
        running.socket = authority.server_context("127.0.0.1").wrap_socket(running.socket, server_side=True)
        in_background(running)
        source = f"https://127.0.0.1:{running.server_address[1]}/r.csv"
        done = store(rain={"source": source, "sha256": digest(b"1\n"), "unpack": False})
        running.shutdown()
    assert done["result"] is False
    assert f"rain: {source}{says}" in done["comment"]
    assert list((tmp_path / "data").iterdir()) == []


def test_a_small_file_comes_with_the_states(store: Any, tmp_path: Path) -> None:
    given = {"source": "salt://data/h.csv", "sha256": "", "unpack": False}
    missing = store(h_csv=given)
    assert missing["result"] is False
    assert "salt://data/h.csv is missing" in missing["comment"]
    (tmp_path / "sent" / "h.csv").write_text("1\n")
    assert store(h_csv=given)["changes"]["h.csv"] == "stored"
    assert store(h_csv=given)["changes"] == {}
    (tmp_path / "sent" / "h.csv").write_text("2\n")
    assert store(h_csv=given)["changes"] == {"h.csv": "stored"}
    assert (tmp_path / "data" / "h.csv").read_text() == "2\n"


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_an_archive_is_unpacked_and_replaced_whole(website: str, store: Any, tmp_path: Path, kind: str) -> None:
    def packed(files: dict[str, bytes]) -> bytes:
        if kind == "zip":
            return zipped(files)
        made = io.BytesIO()
        with tarfile.open(fileobj=made, mode="w:gz") as archive:
            for name, content in files.items():
                info = tarfile.TarInfo(name)
                info.size, info.mode, info.uid = len(content), 0o600, 4242
                archive.addfile(info, io.BytesIO(content))
            link = tarfile.TarInfo("passwd")
            link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(link)
        return made.getvalue()

    for number, files in enumerate(({"a.csv": b"1", "deep/b.csv": b"2"}, {"deep/b.csv": b"3"})):
        content = packed(files)
        (tmp_path / "web" / "r").write_bytes(content)
        done = store(rain={"source": f"{website}/r", "sha256": digest(content), "unpack": True})
        assert done["result"], (number, done)
        root = tmp_path / "data" / "rain"
        found = {str(one.relative_to(root)): one.read_bytes() for one in root.rglob("*") if one.is_file()}
        assert found == files
        assert {one.stat().st_mode & 0o777 for one in root.rglob("*") if one.is_file()} == {0o644}
        assert {one.stat().st_mode & 0o777 for one in (root, root / "deep")} == {0o755}
        assert {one.stat().st_uid for one in root.rglob("*")} == {os.getuid()}


@pytest.mark.parametrize("name", ["../escaped.csv", "/tmp/escaped-by-test.csv", "deep/../../x"])
def test_an_archive_with_a_way_out_is_refused(website: str, store: Any, tmp_path: Path, name: str) -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        info = tarfile.TarInfo(name)
        info.size = 1
        archive.addfile(info, io.BytesIO(b"1"))
    (tmp_path / "web" / "r").write_bytes(made.getvalue())
    done = store(rain={"source": f"{website}/r", "sha256": digest(made.getvalue()), "unpack": True})
    assert done["result"] is False
    assert "outside of itself" in done["comment"]
    assert list((tmp_path / "data").iterdir()) == []
    assert not Path("/tmp/escaped-by-test.csv").exists()


def test_what_is_no_archive_is_told(website: str, store: Any, tmp_path: Path) -> None:
    (tmp_path / "web" / "r").write_bytes(b"1\n")
    done = store(rain={"source": f"{website}/r", "sha256": digest(b"1\n"), "unpack": True})
    assert done["result"] is False
    assert "is no zip and no tar archive; nothing was replaced; take unpack out" in done["comment"]


def test_an_interrupted_run_leaves_nothing_behind(website: str, store: Any, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / ".rain.new").mkdir()
    (tmp_path / "data" / ".rain.download").write_text("half")
    (tmp_path / "web" / "r").write_bytes(b"1\n")
    done = store(rain={"source": f"{website}/r", "sha256": digest(b"1\n"), "unpack": False})
    assert done["result"]
    assert [one.name for one in (tmp_path / "data").iterdir()] == ["rain"]
