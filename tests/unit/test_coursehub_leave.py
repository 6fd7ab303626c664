"""The program that ends everything of an account; as root, on processes of an unused uid."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import time
from pathlib import Path
from types import ModuleType

import pytest

from tests.support.loading import load

pytestmark = pytest.mark.unit
PROGRAM = Path(__file__).parents[2] / "formulas/accounts/files/coursehub_leave.py"
needs_root = pytest.mark.skipif(os.getuid() != 0, reason="other accounts' processes need root")
#: No account of this host has it.
UID = 61234


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    module = load(PROGRAM)
    for name in ("CRONTABS", "LINGER"):
        (tmp_path / name).mkdir()
        monkeypatch.setattr(module, name, tmp_path / name)
    (tmp_path / "at").mkdir()
    monkeypatch.setattr(module, "AT_JOBS", (tmp_path / "at", tmp_path / "none"))
    monkeypatch.setattr(module, "run", lambda *argv: ran.append(argv))
    ran: list[tuple[str, ...]] = []
    module.ran = ran  # type: ignore[attr-defined]
    return module


def test_each_mark_is_new_and_the_others_stay(program: ModuleType, tmp_path: Path) -> None:
    file = tmp_path / "kept" / "left.json"
    program.write_mark(file, "ada")
    program.write_mark(file, "bob")
    before = json.loads(file.read_text())
    program.write_mark(file, "ada")
    after = json.loads(file.read_text())
    assert after["bob"] == before["bob"]
    assert after["ada"] != before["ada"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.write_text("half a fi")
    program.write_mark(file, "ada")
    assert list(json.loads(file.read_text())) == ["ada"]


@needs_root
def test_everything_of_an_account_ends(program: ModuleType) -> None:
    """Processes that ignore SIGTERM, stopped themselves, or fork as fast as they can."""
    stubborn = "trap '' TERM HUP; echo; while :; do sleep 1; done"
    stopped = "echo; kill -STOP $$; sleep 300"
    forks = "echo; end=$(($(date +%s) + 30)); while [ $(date +%s) -lt $end ]; do (sleep 0.01 & sleep 0.02 &); done"
    others = subprocess.Popen(["sleep", "300"], user=UID + 1)
    mine = [
        subprocess.Popen(["sh", "-c", code], user=UID, stdout=subprocess.PIPE, text=True)
        for code in (stubborn, stopped, forks)
    ]
    try:
        for process in mine:
            assert process.stdout is not None
            process.stdout.readline()
        began = time.monotonic()
        assert program.end_processes(UID, ["jupyter-ada.service"])
        assert time.monotonic() - began < 10
        assert list(program.processes(UID)) == []
        assert others.poll() is None
        assert program.ran[0] == ("systemctl", "kill", "--signal=SIGKILL", "jupyter-ada.service")
    finally:
        others.kill()
        others.wait()
        program.end_processes(UID, [])
        for process in mine:
            process.wait(10)


@needs_root
def test_what_would_start_a_process_later_goes(program: ModuleType, tmp_path: Path) -> None:
    for name in ("ada", "bob"):
        (program.CRONTABS / name).touch()
        (program.LINGER / name).touch()
    for name, uid in (("a1", UID), ("a2", UID + 1)):
        (tmp_path / "at" / name).touch()
        os.chown(tmp_path / "at" / name, uid, -1)
    program.end_timers("ada", UID)
    left = sorted(path.name for directory in ("CRONTABS", "LINGER", "at") for path in (tmp_path / directory).iterdir())
    assert left == ["a2", "bob", "bob"]
    program.end_timers("ada", UID)


def test_an_account_of_the_systems_is_refused(program: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["root"]) == 1
    assert "account of the system" in capsys.readouterr().err
    assert program.ran == []
