"""The state that stores data sets: checksums, archives, and transfers that fail."""

from __future__ import annotations

import functools
import grp
import hashlib
import http.server
import io
import os
import socketserver
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.authority import Authority
from tests.support.loading import load
from tests.support.sandbox import REPO
from tests.support.serving import in_background

pytestmark = pytest.mark.unit
MINE = grp.getgrgid(os.getgid()).gr_name


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """An authority that the state trusts, and no proxy."""
    made = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.bundle))
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return made


@pytest.fixture
def website(tmp_path: Path, authority: Authority) -> Iterator[str]:
    """An HTTPS server that the state trusts; its files are in ``tmp_path/web``."""
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
    # Not downloaded again, whatever the address serves now.
    (tmp_path / "web" / "r.csv").write_bytes(b"2\n")
    assert store(rain_csv=given)["changes"] == {}
    # A new checksum brings the new file; a wrong one keeps the old file.
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


def test_file_that_is_no_archive_is_reported(website: str, store: Any, tmp_path: Path) -> None:
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
