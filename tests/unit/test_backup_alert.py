"""Who hears that backups fail, or that the disk is full: a real webhook, a real command, and the teachers' page."""

from __future__ import annotations

import dataclasses
import errno
import http.server
import importlib
import json
import os
import runpy
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from coursehub_backup import room, state, watching
from coursehub_backup.config import Config, Target

from tests.support.backups import config_of
from tests.support.sandbox import REPO

pytestmark = pytest.mark.unit


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.setattr(state, "STATE", tmp_path)
    # This computer's own disk may be full.
    monkeypatch.setattr(room, "problem", lambda *_: None)
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
    reported = config.problem.with_name("reported.json")
    known = state.read(reported)
    known["backup"]["at"] -= 25 * 3600
    state.write(known, reported)
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
    # Not at once: a webhook that answers late may have it already.
    assert len(hook.got) == 1
    reported = config.problem.with_name("reported.json")
    known = state.read(reported)
    known["backup"]["tried"] -= watching.TRY_AGAIN
    state.write(known, reported)
    watching.watch(config)
    watching.watch(config)
    assert len(hook.got) == 2


def test_disk_near_its_limit_is_reported_once(config: Config, hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that goes over the limit and below it again and again. It has room again when it is clearly below."""
    config = dataclasses.replace(config, alert_webhook=hook.address)
    for used in (95, 94, 95, 93, 91, 94):
        monkeypatch.setattr(
            room, "problem", lambda _, full, used=used: f"/ is full: {used} %" if used >= full.per_cent else None
        )
        watching.watch(config)
    told = [(one["ok"], one["text"]) for one in hook.got if one["kind"] == "disk"]
    assert told == [(False, "/ is full: 95 %"), (True, "the server's disk has room again")]


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


def test_full_disk_is_reported_though_nothing_can_be_written(
    config: Config, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once, although the numbers change; its end too. The backups are not in the way."""

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    config = dataclasses.replace(config, alert_webhook=hook.address)
    monkeypatch.setattr(state, "document", full)
    for left in (3, 2):
        monkeypatch.setattr(room, "problem", lambda *_, left=left: f"/ is full: 100 % used, {left} MB are left")
        with pytest.raises(OSError, match="No space"):
            watching.watch(config)
    monkeypatch.setattr(room, "problem", lambda *_: None)
    with pytest.raises(OSError, match="No space"):
        watching.watch(config)
    assert [(one["kind"], one["ok"], one["text"]) for one in hook.got] == [
        ("disk", False, "/ is full: 100 % used, 3 MB are left"),
        ("disk", True, "the server's disk has room again"),
    ]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_full_file_system_is_seen(config: Config, tmp_path: Path) -> None:
    """Each kind of full: by use, by what is left, and by the number of files."""
    problem, place = importlib.reload(room).problem, tmp_path / "place"
    place.mkdir()
    for options, write, told in (
        ("size=1g,nr_inodes=100", lambda: None, None),
        ("size=600m", lambda: (place / "x").write_bytes(bytes(150 << 20)),
         f"{place} is full: 25 % used, 450 MB are left"),
        ("size=40m", lambda: (place / "x").write_bytes(bytes(40 << 20)), f"{place} is full: 100 % used, 0 MB are left"),
        ("size=1g,nr_inodes=20", lambda: [(place / str(n)).touch() for n in range(19)],
         f"{place} is full: there is no room for more files"),
    ):  # fmt: skip
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], check=True)
        try:
            write()
            # A second name of the same file system, and one that is not there.
            assert problem((tmp_path / "gone", place, place), config.full) == told
        finally:
            subprocess.run(["umount", str(place)], check=True)
