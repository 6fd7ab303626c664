"""Who hears that backups fail: a real webhook, a real command, and the teachers' page."""

from __future__ import annotations

import dataclasses
import http.server
import json
import os
import runpy
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from coursehub_backup import state, watching
from coursehub_backup.config import Config, Target

from tests.support.backups import config_of
from tests.support.sandbox import REPO

pytestmark = pytest.mark.unit


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.setattr(state, "STATE", tmp_path)
    return config_of(tmp_path, Target("volume", "/nowhere"), hours=(7, 23))


class Hook:
    """A webhook on loopback. It answers with ``status``; ``got`` has what came."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.status = 200
        hook = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                hook.got.append({"type": self.headers["Content-Type"], "path": self.path, **json.loads(content)})
                self.send_response(hook.status)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}/hooks/secret"


@pytest.fixture
def hook() -> Iterator[Hook]:
    made = Hook()
    thread = threading.Thread(target=made.server.serve_forever, daemon=True)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()


def fail() -> None:
    state.note("volume", ok=time.time() - 7200, error="volume: gone")


def test_webhook_gets_a_document(config: Config, hook: Hook) -> None:
    config = dataclasses.replace(config, alert_webhook=hook.address)
    fail()
    for _ in range(2):
        assert watching.watch(config)
    (got,) = hook.got
    assert (got["type"], got["path"], got["kind"], got["ok"]) == ("application/json", "/hooks/secret", "backup", False)
    assert got["text"] == "backup to volume failed: volume: gone; the last good one is 2 hours old"
    state.note("volume", ok=time.time(), error=None)
    for _ in range(2):
        assert watching.watch(config) is None
    assert [one["ok"] for one in hook.got] == [False, True]
    assert hook.got[1]["text"] == "backups are well again"


def test_alert_comes_again_after_a_day(config: Config, hook: Hook) -> None:
    config = dataclasses.replace(config, alert_webhook=hook.address)
    fail()
    watching.watch(config)
    known = state.read()
    known["reported"]["at"] -= 25 * 3600
    state.write(known)
    watching.watch(config)
    assert len(hook.got) == 2


@pytest.mark.skipif(os.geteuid() != 0, reason="the command runs as nobody")
def test_command_gets_the_same_document(config: Config, hook: Hook) -> None:
    """It runs as nobody, without root's environment."""
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o777)
        command = f"cat > {made}/document; id -un > {made}/who; env > {made}/environment"
        fail()
        watching.watch(dataclasses.replace(config, alert_webhook=hook.address, alert_command=command))
        document, who, environment = ((Path(made) / name).read_text() for name in ("document", "who", "environment"))
    (got,) = hook.got
    assert json.loads(document) == {key: got[key] for key in ("kind", "ok", "text")}
    assert who == "nobody\n"
    assert {line.split("=")[0] for line in environment.splitlines()} <= {"PATH", "PWD", "SHLVL", "_", "OLDPWD"}


def test_one_way_that_fails_does_not_stop_the_other(
    config: Config, hook: Hook, capsys: pytest.CaptureFixture[str]
) -> None:
    config = dataclasses.replace(config, alert_webhook=hook.address, alert_command="exit 1")
    fail()
    for _ in range(2):
        watching.watch(config)
    assert len(hook.got) == 1
    assert "by the command" in capsys.readouterr().out


@pytest.mark.parametrize("status", [500, 404])
def test_alert_that_arrived_nowhere_comes_again(
    config: Config, hook: Hook, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    config = dataclasses.replace(config, alert_webhook=hook.address)
    hook.status = status
    fail()
    assert watching.watch(config)
    said = capsys.readouterr().out
    assert "the alert could not be delivered by the webhook (HTTPError)" in said
    assert "secret" not in said
    hook.status = 200
    watching.watch(config)
    watching.watch(config)
    assert len(hook.got) == 2


def test_webhook_that_is_gone_names_no_address(config: Config, hook: Hook, capsys: pytest.CaptureFixture[str]) -> None:
    hook.server.server_close()
    fail()
    assert watching.watch(dataclasses.replace(config, alert_webhook=hook.address))
    assert "secret" not in capsys.readouterr().out


def test_teachers_page_has_one_line(config: Config) -> None:
    notices = runpy.run_path(str(REPO / "formulas/jupyterhub/files/class_work/notices.py"))["notices"]
    assert notices("", str(config.problem)) == []
    fail()
    watching.watch(config)
    assert config.problem.stat().st_mode & 0o777 == 0o600
    assert notices("", str(config.problem)) == [
        "Backup: backup to volume failed; the last good one is 2 hours old. The person who runs the server sees more "
        "with 'coursehub status'."
    ]
    state.note("volume", ok=time.time(), error=None)
    watching.watch(config)
    assert notices("", str(config.problem)) == []
    assert notices("", "") == []


def test_line_for_the_page_names_no_file(config: Config) -> None:
    """restic's words may have a student's file name or a target's address."""
    state.note("volume", error="open /home/ada/my secret.txt: permission denied")
    watching.watch(config)
    assert config.problem.read_text() == "backup to volume failed; the last good one is not there yet"


def test_page_has_the_age_of_the_target_with_the_problem(config: Config) -> None:
    """Another target's newer backup would sound as if nothing were wrong."""
    config = dataclasses.replace(config, targets=(Target("office", "/nowhere"), *config.targets))
    state.note("office", ok=time.time())
    fail()
    watching.watch(config)
    assert config.problem.read_text() == "backup to volume failed; the last good one is 2 hours old"
