"""The restore of a whole server as a unit of its own; only systemd is a stand-in."""

from __future__ import annotations

import dataclasses
import datetime
import os
import subprocess
import time
from pathlib import Path

import pytest
from coursehub_backup import everything, report, state, working
from coursehub_backup.config import Config
from coursehub_backup.restoring import RestoreError, Version

from tests.support.backups import config_of
from tests.support.programs import Programs

pytestmark = pytest.mark.unit
VERSION = Version("s1", datetime.datetime(2026, 11, 30, tzinfo=datetime.UTC), 1, server="b" * 32)


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.setattr(report, "RECORD", tmp_path / "state/everything.json")
    made = config_of(tmp_path)
    whole = dataclasses.replace(made.whole, stop=("jupyterhub.service", "backup.timer"), except_for=("check",))
    return dataclasses.replace(made, whole=whole)


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    """No unit is active."""
    programs = Programs.install(tmp_path / "programs", monkeypatch)
    programs.add("systemctl", "echo inactive; exit 3")
    programs.add("systemd-run")
    return programs


def test_restore_starts_as_a_unit_that_starts_the_hub(config: Config, systemd: Programs) -> None:
    """However it ends: systemd starts what was stopped."""
    everything.start(config, ["--at", "yesterday"])
    (words,) = systemd.calls("systemd-run")
    assert f"--unit={everything.UNIT}" in words
    after = "--property=ExecStopPost=/usr/bin/systemctl start --no-block jupyterhub.service backup.timer"
    assert after in words
    assert words[-4:] == ["/usr/local/sbin/coursehub-backup", "restore-now", "--at", "yesterday"]
    shown = everything.progress()
    assert (shown["running"], shown["ended"], shown["error"]) == (False, None, None)


@pytest.mark.parametrize("active", ["active", "activating", "deactivating"])
def test_restore_that_runs_is_not_started_again(config: Config, systemd: Programs, active: str) -> None:
    report.RECORD.parent.mkdir()
    state.write({"now": "home ada"}, report.RECORD)
    systemd.add("systemctl", f"echo {active}")
    everything.start(config, [])
    assert systemd.calls("systemd-run") == []
    assert everything.progress() == {"running": True, "now": "home ada"}


def test_restore_that_cannot_start_says_why(config: Config, systemd: Programs) -> None:
    systemd.add("systemd-run", "echo 'Unit is loaded already.' >&2; exit 1")
    with pytest.raises(RestoreError, match=r"^the restore could not be started: Unit is loaded already\.$"):
        everything.start(config, [])


@pytest.mark.parametrize(
    ("active", "says"),
    [
        ("jupyter-check.service", ""),
        ("", ""),
        ("jupyter-check.service jupyter-ada.service", "one person works on this server now"),
        ("jupyter-ada.service jupyter-bob.service", "2 people work on this server now"),
    ],
)
def test_restore_is_refused_while_people_work(config: Config, systemd: Programs, active: str, says: str) -> None:
    """The account of the check is nobody."""
    systemd.add("systemctl", f"for one in {active}; do echo $one loaded active running A server; done")
    if not says:
        working.need_nobody(config, VERSION)
    else:
        with pytest.raises(RestoreError, match=f"^{says}"):
            working.need_nobody(config, VERSION)
    (words,) = systemd.calls("systemctl")
    assert words[-1] == "jupyter-*.service"


def test_servers_are_ended_until_none_is_left(config: Config, systemd: Programs, tmp_path: Path) -> None:
    """One was just being started at the first look. That of the check is nobody's."""
    there = tmp_path / "there"
    there.write_text("jupyter-check.service loaded\njupyter-ada.service loaded\n")
    (tmp_path / "later").write_text("jupyter-bob.service loaded activating\n")
    listed = f"[ $1 = list-units ] && exec cat {there}"
    systemd.add("systemctl", f"{listed}; mv {tmp_path}/later {there} 2>/dev/null || : > {there}")
    working.end_servers(config)
    stopped = [words[1:] for words in systemd.calls("systemctl") if words[0] == "stop"]
    assert stopped == [["jupyter-ada.service"], ["jupyter-bob.service"]]
    (asked, *_) = systemd.calls("systemctl")
    assert "--state=active,activating,reloading,deactivating" in asked


def test_servers_that_take_too_long_are_looked_at_again(
    config: Config, systemd: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(working, "STOPPING", 0.2)
    systemd.add("systemctl", "[ $1 = stop ] && exec sleep 20; echo jupyter-ada.service loaded active")
    began = time.monotonic()
    with pytest.raises(RestoreError, match=r"^the server of one person does not end"):
        working.end_servers(config)
    assert time.monotonic() - began < 15


def test_units_that_do_not_stop_are_an_error(systemd: Programs) -> None:
    """The hub would write into the database that is replaced."""
    with pytest.raises(subprocess.CalledProcessError):
        everything.systemctl("stop", ("jupyterhub.service",))
    assert systemd.calls("systemctl") == [["stop", "jupyterhub.service"]]
    everything.systemctl("stop", ())
    assert len(systemd.calls("systemctl")) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="a process of another number needs root")
def test_processes_of_a_number_are_found() -> None:
    number = 543210
    assert not working.has_processes(number)
    with subprocess.Popen(["sleep", "60"], user=number) as process:
        try:
            assert working.has_processes(number)
        finally:
            process.kill()
    assert not working.has_processes(number)
