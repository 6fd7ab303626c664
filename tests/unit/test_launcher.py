"""``./coursehub`` on a campus: a network that replaces certificates, and a proxy that cannot reach this computer."""

from __future__ import annotations

import contextlib
import http.server
import os
import shutil
import signal
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.local.https import make_https_certificate

pytestmark = pytest.mark.unit

REPO = Path(__file__).resolve().parents[2]


class Index(http.server.BaseHTTPRequestHandler):
    """A package index without packages."""

    def do_GET(self) -> None:
        self.send_error(404)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def intercepted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The address of an index with its own authority, and that authority's file."""
    directory = tmp_path_factory.mktemp("tls")
    make_https_certificate(directory, "127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "https.pem", directory / "https.key")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Index)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"https://127.0.0.1:{server.server_port}/simple", directory / "acme-ca.pem"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working copy without installed packages."""
    root = tmp_path_factory.mktemp("clone")
    shutil.copy(REPO / "coursehub", root)
    shutil.copytree(REPO / "requirements", root / "requirements")
    return root


def start(clone: Path, index: str, **environment: str) -> subprocess.CompletedProcess[str]:
    ours = ("PIP_", "UV_", "SSL_", "REQUESTS_")
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
    settings = {"PIP_INDEX_URL": index, "PIP_RETRIES": "0", "PIP_TIMEOUT": "5", **environment}
    return subprocess.run(
        [str(clone / "coursehub"), "validate"],
        env={**inherited, **settings},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_network_with_its_own_authority_is_reported(clone: Path, intercepted: tuple[str, Path]) -> None:
    index, authority = intercepted
    ended = start(clone, index)
    assert ended.returncode == 1
    last = ended.stderr.strip().splitlines()[-1]
    assert last.startswith("coursehub: this network puts its own certificate authority in between")
    assert "run 'sudo update-ca-certificates', then this again" in last
    # With the authority known, the failure is no certificate error: this index has no package.
    known = start(clone, index, PIP_CERT=str(authority))
    assert known.returncode == 1
    assert "certificate" not in known.stderr
    assert "No matching distribution" in known.stderr


@pytest.mark.parametrize("given", [{}, {"no_proxy": "example.edu"}, {"NO_PROXY": "example.edu"}])
def test_this_computer_is_not_behind_its_proxy(tmp_path: Path, given: dict[str, str]) -> None:
    shutil.copy(REPO / "coursehub", tmp_path)
    (tmp_path / "requirements").mkdir()
    (tmp_path / ".venv/bin").mkdir(parents=True)
    for path in ("requirements/runner.lock", ".venv/runner.lock"):
        (tmp_path / path).write_text("")
    python = tmp_path / ".venv/bin/python"
    python.write_text('#!/bin/sh\necho "$no_proxy"\necho "$NO_PROXY"\n')
    python.chmod(0o755)
    clean = {key: value for key, value in os.environ.items() if key.lower() != "no_proxy"}
    ended = subprocess.run(
        [str(tmp_path / "coursehub")], env={**clean, **given}, capture_output=True, text=True, check=True
    )
    expected = [*given.values(), "127.0.0.1", "localhost", "::1"]
    assert [line.split(",") for line in ended.stdout.splitlines()] == [expected, expected]


@pytest.mark.parametrize("seconds", [0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3])
def test_ctrl_c_at_the_start_prints_no_traceback(seconds: float) -> None:
    """Python itself prints one for a Ctrl-C while it loads modules."""
    started = subprocess.Popen(
        [str(REPO / "coursehub"), "--help"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A terminal sends the signal to the whole group.
        start_new_session=True,
    )
    time.sleep(seconds)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(started.pid, signal.SIGINT)
    _, said = started.communicate(timeout=60)
    assert "Traceback" not in said
    assert started.returncode in (0, -signal.SIGINT, 128 + signal.SIGINT), said
