"""coursehub-upgrade as the teacher's computer calls it: a whole trial, the guard, and the way back."""

from __future__ import annotations

import fcntl
import json
import os
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from coursehub_upgrade import config as configuration
from coursehub_upgrade import main, phase, programs, trial
from coursehub_upgrade.config import Config

from tests.support.trials import SECONDS, SYSTEMD_RUN, Trial, revision, server
from tests.support.upgrades import NEW, OLD, config, install, served

__all__ = ["config", "server"]

pytestmark = pytest.mark.unit


def nothing_is_left(made: Trial) -> None:
    """Of a trial: no file, unit or permission, and the old version serves."""
    config = made.config
    assert served(config) == OLD
    assert not config.trial.exists() and not config.closed.exists() and not config.allowed.exists()
    assert [path.name for path in trial.RUNTIME_UNITS.glob("*")] == []
    assert phase.read(config.place)[0] == phase.IDLE


def test_trial_that_passes_changes_nothing_that_serves(server: Trial) -> None:
    """It says what it did, and leaves only complete environments, to which nothing points."""
    code, document = server.run("try", "--host", "phys.example.org")
    assert code == 0, document
    assert document["environments"] == [str(server.config.hub / "hub/new")]
    assert document["database"] == ["one", "two"]
    assert revision(server.config.database) == "one"
    assert {**document["seconds"], "database": 0} == {**SECONDS, "database": 0}
    assert server.said.splitlines()[:3] == [
        "now building the new version beside the old one",
        "now the database, on a copy",
        "now starting the new hub beside the old one",
    ]
    assert (server.config.hub / "hub/new/.complete").exists()
    nothing_is_left(server)


def test_trial_signs_in_with_an_account_of_its_own(server: Trial) -> None:
    server.run("try", "--host", "phys.example.org")
    assert (server.asked["host"], server.asked["account"]) == ("phys.example.org", "coursehub-trial")
    assert server.asked["socket"] == str(server.config.sockets / "front/proxy.sock")
    password = server.asked["password"]
    assert len(password) >= 24
    assert (server.root / "chpasswd").read_text() == f"coursehub-trial:{password}\n"
    # A command line is everybody's to read.
    assert not any(
        password in line for path in server.programs.directory.glob("*.calls") for line in [path.read_text()]
    )
    (made,) = server.calls("useradd")
    assert "--groups class coursehub-trial" in made and trial.MARK in made


def test_trial_gives_the_account_only_groups_that_are_there(server: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    """An older coursehub has fewer groups."""
    monkeypatch.setattr(main.configuration, "read", lambda: replace(server.config, groups=("class", "newer")))
    server.programs.add("getent", '[ "$*" = "group class" ]')
    server.run("try", "--host", "phys.example.org")
    assert "--groups class coursehub-trial" in server.calls("useradd")[0]


def test_trial_hub_has_settings_of_its_own(server: Trial) -> None:
    """When the hub starts, its configuration includes the real one and nobody else can read it."""
    seen = server.root / "seen"
    server.programs.add(
        "systemctl",
        f'if [ "$*" = "start coursehub-trial-hub.service" ]; then\n'
        f"cp -a {server.config.trial}/files/etc/jupyterhub {seen}; cp -r {trial.RUNTIME_UNITS} {seen}/units; fi",
    )
    server.run("try", "--host", "phys.example.org")
    settings = seen / "jupyterhub_config.py"
    assert settings.stat().st_mode & 0o777 == 0o600
    text = settings.read_text()
    assert f'load_subconfig("/etc/jupyterhub/{trial.REAL}")' in text and '{"coursehub-trial"}' in text
    compile(text, "settings", "exec")
    assert (seen / trial.REAL).read_text() == "c = 1\n"
    units = seen / "units"
    assert (units / "coursehub-trial-hub.service").read_text() == "[Service]\nType=notify\n"
    assert (units / "coursehub-trial-proxy.service").read_text() == "[Service]\nType=exec\n"
    assert "RuntimeMaxSec=" in (units / "coursehub-trial-proxy.service.d/trial.conf").read_text()


def test_trials_sockets_are_closed_to_students(server: Trial) -> None:
    """For all but root while the states work; then the proxy may enter, whatever mode the states gave the sockets."""
    config = server.config
    mode = f"stat -c %a {config.closed} >> {server.root}/modes"
    server.programs.add("systemd-run", f"{mode}; chmod 777 {config.sockets}\n{SYSTEMD_RUN}")
    server.programs.add("systemctl", f'[ "$1" != start ] || {mode}')
    assert server.run("try", "--host", "phys.example.org")[0] == 0
    # States and migration; then the proxy, the hub and the look.
    assert (server.root / "modes").read_text().split() == ["700"] * 2 + ["710"] * 3


def test_states_of_a_trial_are_those_that_were_shipped(server: Trial) -> None:
    server.run("try", "--host", "phys.example.org")
    (argument,) = [word for word in server.states if word.startswith("pkg_sum=")]
    # sha256 of "the states".
    assert argument == "pkg_sum=d93d7d2aad8c63786554e8a45d67823a3113e114deb3d9c5a93961f3c9e911b9"
    assert server.states[server.states.index("state.pkg") + 1] == str(server.config.salt / "salt_state.tgz")
    (line, *_) = server.calls("systemd-run")
    assert f"--property=BindPaths={server.config.copy_of(server.config.hub)}:{server.config.hub}" in line


def test_states_that_fail_end_the_trial(server: Trial) -> None:
    failed = json.dumps({"local": {"a_|-b_|-b_|-c": {"result": False}}})
    server.new_version(states=failed)
    code, document = server.run("try", "--host", "phys.example.org")
    assert (code, document["states"].strip()) == (0, failed)
    # What was not finished is not kept.
    assert not (server.config.hub / "hub/new").exists()
    assert server.calls("useradd") == []
    nothing_is_left(server)


def test_database_that_does_not_migrate_ends_the_trial(server: Trial) -> None:
    server.new_version(migrate="sh -c 'echo Traceback >&2; echo no such column: x >&2; exit 1'")
    code, document = server.run("try", "--host", "phys.example.org")
    assert (code, document) == (
        1,
        {"error": "the hub's database cannot be migrated: systemd-run: no such column: x"},
    )
    assert revision(server.config.database) == "one"
    nothing_is_left(server)


def test_hub_that_does_not_start_ends_the_trial(server: Trial) -> None:
    server.programs.add("systemctl", '[ "$*" != "start coursehub-trial-hub.service" ]')
    code, document = server.run("try", "--host", "phys.example.org")
    assert (code, document["error"]) == (
        1,
        "the new hub does not start; the new hub's log says: [E 10:01 app] no module named x",
    )
    nothing_is_left(server)


@pytest.mark.parametrize("log", ["[I 10:00 app] all is well", ""])
def test_look_that_fails_ends_the_trial(server: Trial, log: str) -> None:
    """Nothing is said of the log if it has no error, or cannot be read."""
    server.new_version(look="echo 'kernel: a kernel answered 21' >&2; exit 1")
    server.programs.add("journalctl", f"echo '{log}'" if log else "exit 1")
    code, document = server.run("try", "--host", "phys.example.org")
    assert (code, document["error"]) == (1, "kernel: a kernel answered 21")
    nothing_is_left(server)


def test_account_is_removed_after_a_failed_look(server: Trial) -> None:
    server.new_version(look="exit 1")
    server.programs.add("useradd", f"echo 'coursehub-trial:x:1:1:{trial.MARK}:/:/' > {server.root}/account")
    server.programs.add("userdel", f"rm {server.root}/account")
    server.run("try", "--host", "phys.example.org")
    assert server.calls("userdel") == ["--remove --force coursehub-trial"]
    assert server.calls("pkill") == ["-KILL -u coursehub-trial"]


def test_new_environments_need_more_room(server: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice the bytes of those that serve."""
    (server.config.hub / "hub/old/big").write_bytes(b"x" * (3 << 20))
    free = 5 << 20
    monkeypatch.setattr(trial.shutil, "disk_usage", lambda _: type("Room", (), {"free": free}))
    code, document = server.run("try", "--host", "phys.example.org", "--environments")
    assert code == 1
    assert document["error"].startswith("the server's disk has 5 MB free, and an upgrade needs 6 MB; nothing was")
    assert server.run("try", "--host", "phys.example.org")[0] == 0


def test_guard_over_standard_input(server: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    """As ssh gives it: the version is saved, the new one comes, and the words decide."""
    for words, kept in ((b"alive\nkeep\n", True), (b"back no kernel\n", False)):
        install(server.config, "old")
        read, write = os.pipe()

        def speak(write: int = write, words: bytes = words) -> None:
            deadline = time.monotonic() + 30
            while not server.config.allowed.exists() and time.monotonic() < deadline:
                time.sleep(0.01)
            install(server.config, "new")
            os.write(write, words)
            os.close(write)

        speaker = threading.Thread(target=speak)
        speaker.start()
        with os.fdopen(read) as stdin:
            monkeypatch.setattr(sys, "stdin", stdin)
            code, document = server.run("guard")
        speaker.join()
        assert (code, document["kept"]) == (0, kept)
        assert json.loads(server.said.splitlines()[0]) == {"saved": {"hub": "old", "proxy": "old", "course": "old"}}
        assert served(server.config) == (NEW if kept else OLD)


def test_rollback_and_look(server: Trial) -> None:
    code, document = server.run("rollback")
    assert (code, list(document)) == (1, ["error"])
    assert "no version before" in document["error"]
    assert server.run("look")[1]["saved"] == {}
    main.version.save(server.config)
    install(server.config, "new")
    assert server.run("look")[1]["no_way_back"] == ""
    assert server.run("rollback")[1]["reason"] == "the teacher asked for it"
    assert served(server.config) == OLD
    seen = server.run("look")[1]
    assert (seen["serves"]["hub"], seen["went_back"]["reason"]) == ("old", "the teacher asked for it")
    assert "start jupyterhub.service" in server.calls("systemctl")


def test_rollback_says_if_the_old_hub_does_not_start(server: Trial) -> None:
    """Then it is not over: `mend` and the next upgrade try it again."""
    main.version.save(server.config)
    server.programs.add("systemctl", '[ "$*" != "start jupyterhub.service" ]')
    code, document = server.run("rollback")
    assert code == 1 and "its hub does not start; 'coursehub logs' says why" in document["error"]
    assert phase.read(server.config.place)[0] == phase.BACK
    server.programs.add("systemctl")
    assert server.run("mend")[1]["mended"] == phase.BACK
    assert phase.read(server.config.place)[0] == phase.IDLE


def test_mend_at_boot_waits_for_no_unit(server: Trial) -> None:
    main.version.save(server.config)
    install(server.config, "new")
    phase.write(server.config.place, phase.SWITCHING)
    code, document = server.run("mend", "--boot")
    assert (code, document["mended"], document["reason"]) == (0, "switching", "the upgrade was cut off")
    assert served(server.config) == OLD
    assert not any("start jupyterhub" in line for line in server.calls("systemctl"))


def test_commands_wait_for_each_other(server: Trial) -> None:
    """Two at once would each move the other's files."""
    ended = []
    server.config.place.mkdir(exist_ok=True)
    with (server.config.place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        other = threading.Thread(target=lambda: ended.append(server.run("mend")[0]))
        other.start()
        time.sleep(0.3)
        assert ended == []
    other.join(20)
    assert ended == [0]


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("echo one >&2; echo two >&2; exit 3", "sh: two"),
        ("echo on output; exit 3", "sh: on output"),
        ("exit 3", "sh: exit code 3"),
        ("sleep 20", "sh did not end within 0 s"),
    ],
)
def test_program_that_fails_is_one_line(command: str, says: str) -> None:
    with pytest.raises(programs.UpgradeError, match=f"^{says}$"):
        programs.run(["sh", "-c", f"exec 3>&1; {command}"], seconds=0.3 if "sleep" in command else 20)


def test_program_that_is_not_there_is_no_success() -> None:
    assert programs.quietly(["true"])
    assert not programs.quietly(["false"])
    assert not programs.quietly(["no-such-program-here"])
    assert programs.run(["cat"], text="words") == "words"


def test_configuration_is_what_salt_wrote(config: Config, tmp_path: Path) -> None:
    fields: dict[str, Any] = {
        name: [str(one) for one in value] if isinstance(value, tuple) else str(value)
        for name, value in vars(config).items()
    }
    (tmp_path / "upgrade.json").write_text(json.dumps(fields))
    assert configuration.read(tmp_path / "upgrade.json") == config
