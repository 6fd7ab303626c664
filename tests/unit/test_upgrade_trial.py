"""The trial of a new version on a server, and Debian's packages there."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from coursehub_upgrade import database, debian, guard, main, phase, trial
from coursehub_upgrade.config import Config
from coursehub_upgrade.programs import UpgradeError

from tests.support.upgrades import OLD, config, programs, served, switch

__all__ = ["config", "programs"]

pytestmark = [pytest.mark.unit, pytest.mark.usefixtures("programs")]


def test_mend_removes_a_trial(config: Config, programs: list[str]) -> None:
    trial.begin(config)
    assert phase.read(config.place)[0] == phase.TRYING
    config.allowed.touch()
    guard.mend(config)
    assert phase.read(config.place)[0] == phase.IDLE
    assert not config.allowed.exists()
    assert any(line.startswith("rm -rf") and str(config.trial) in line for line in programs)
    assert any("stop" in line and "coursehub-trial-hub.service" in line for line in programs)


def test_trial_needs_room(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    trial.need_room(config, new_environments=False)
    monkeypatch.setattr(trial, "LEAST_ROOM", 1 << 60)
    with pytest.raises(UpgradeError, match=r"MB free, and an upgrade needs .* nothing was changed"):
        trial.need_room(config, new_environments=False)


def test_trials_environments_move_only_when_complete(config: Config) -> None:
    built = config.copy_of(config.hub / "hub")
    for name in ("half", "whole", "old"):
        (built / name).mkdir(parents=True)
    (built / "whole/.complete").touch()
    switch(built / "current", config.hub / "hub/whole")
    # What an interrupted apply left in the same place.
    (config.hub / "hub/whole").mkdir()
    assert trial.move_environments(config) == [str(config.hub / "hub/whole")]
    assert sorted(path.name for path in (config.hub / "hub").iterdir()) == ["current", "old", "whole"]
    assert served(config) == OLD


def test_trial_units_see_copies_and_no_secret_of_the_hub(config: Config) -> None:
    state = config.copy_of(config.state)
    state.mkdir(parents=True)
    (state / "proxy.env").touch()
    text = trial._drop_in(config)
    assert f"BindPaths={config.copy_of(config.hub)}:{config.hub}\n" in text
    assert f"BindPaths={config.copy_of(config.state)}:{config.state}\n" in text
    assert f"BindPaths={config.sockets}:/run/coursehub\n" in text
    # The serving environments, which are not copied.
    assert f"BindPaths={config.hub}/hub/old:{config.hub}/hub/old\n" in text
    assert text.index("EnvironmentFile=\n") < text.index(f"EnvironmentFile={state}/proxy.env")
    assert "RuntimeMaxSec=" in text and "Restart=no" in text


def test_trials_database_knows_no_running_server(config: Config) -> None:
    with sqlite3.connect(config.database) as db:
        db.execute("INSERT INTO spawners (user_id, server_id) VALUES (1, 3)")
    trial._copy_state(config)
    copy = config.copy_of(config.database)
    database.forget_servers(copy)
    with sqlite3.connect(copy) as db:
        assert db.execute("SELECT server_id FROM spawners").fetchall() == [(None,)]
    with sqlite3.connect(config.database) as db:
        assert db.execute("SELECT server_id FROM spawners").fetchall() == [(3,)]


def test_account_of_a_person_is_never_removed(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the comment that a trial writes makes an account the trial's."""
    called: list[Any] = []

    class Done:
        stdout = "coursehub-trial:x:1005:1005:Somebody:/home/coursehub-trial:/bin/bash\n"

    monkeypatch.setattr(trial.subprocess, "run", lambda *_, **__: Done)
    monkeypatch.setattr(trial, "quietly", lambda argv, *_: called.append(argv))
    trial._remove_account(config)
    assert called == []
    Done.stdout = Done.stdout.replace("Somebody", trial.MARK)
    trial._remove_account(config)
    assert [argv[0] for argv in called] == ["systemctl", "pkill", "userdel"]


def test_states_that_failed_are_no_success() -> None:
    assert main._all_true(json.dumps({"local": {"a": {"result": True}}}))
    for said in ("", "[]", "{}", '{"local": ["does not render"]}', '{"local": {}}'):
        assert not main._all_true(said)
    assert not main._all_true(json.dumps({"local": {"a": {"result": True}, "b": {"result": False}}}))


# -- Debian --------------------------------------------------------------------------------------------------


def test_reboot_is_asked_for_with_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "uname", lambda: type("U", (), {"release": "6.1.0-9-amd64"}))
    for directory in ("boot", "run", "proc/1"):
        (tmp_path / directory).mkdir(parents=True)
    (tmp_path / "proc/1/comm").write_text("systemd\n")
    (tmp_path / "proc/1/maps").write_text("7f r-xp 00 08:01 7 /usr/lib/x86_64-linux-gnu/libc.so.6\n")
    (tmp_path / "boot/vmlinuz-6.1.0-9-amd64").touch()
    assert debian.reboot_reasons(tmp_path) == []
    (tmp_path / "boot/vmlinuz-6.1.0-10-amd64").touch()
    (tmp_path / "run/reboot-required.pkgs").write_text("dbus\n")
    (tmp_path / "proc/1/maps").write_text("7f r-xp 00 08:01 7 /usr/lib/x86_64-linux-gnu/libc.so.6 (deleted)\n")
    assert debian.reboot_reasons(tmp_path) == [
        "dbus asks for it",
        "kernel 6.1.0-10-amd64 is installed, 6.1.0-9-amd64 runs",
        "systemd still runs files that were replaced",
    ]


def test_debian_that_would_remove_the_web_server_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[str] = []

    def apt(*arguments: str, seconds: float) -> str:
        del seconds
        called.append(arguments[-1])
        return "Inst libc6 [1] (2)\nRemv nginx [1]\n" if "--simulate" in arguments else ""

    monkeypatch.setattr(debian, "_apt", apt)
    with pytest.raises(UpgradeError, match="would remove nginx, so nothing was installed"):
        debian.install()
    assert called == ["update", "full-upgrade"]
