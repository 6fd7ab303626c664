"""Debian's packages on a server, as `coursehub-upgrade debian` upgrades them; only apt and dpkg are stand-ins."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from coursehub_upgrade import debian, main
from coursehub_upgrade.programs import UpgradeError

from tests.support.programs import Programs
from tests.support.upgrades import config

__all__ = ["config"]
pytestmark = pytest.mark.unit
PLANNED = "Inst libc6 [1] (2 Debian:13)\nInst bash [1] (2)\nInst bash [1] (2)\nConf libc6 (2)\n"
SIMULATED = "case \"$*\" in *--simulate*) printf '%s';; esac"


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    """Two packages wait, and nothing needs a reboot."""
    programs = Programs.install(tmp_path / "programs", monkeypatch)
    programs.add("apt-get", SIMULATED % PLANNED.replace("\n", "\\n"))
    programs.add("dpkg")
    monkeypatch.setattr(debian, "reboot_reasons", lambda: [])
    return programs


def steps(apt: Programs) -> list[str]:
    """What apt was asked for, without its options."""
    known = ("update", "full-upgrade", "--simulate", "--download-only")
    return [" ".join(word for word in call if word in known) for call in apt.calls("apt-get")]


def test_look_at_debian_installs_nothing(apt: Programs) -> None:
    assert debian.look() == {"waiting": ["bash", "libc6"], "reboot": []}
    assert steps(apt) == ["update", "--simulate full-upgrade"]


def test_debian_downloads_everything_before_it_installs(apt: Programs) -> None:
    """A line that breaks must not leave half of an upgrade. A file of Salt's stays as it is."""
    assert debian.install() == {"installed": ["bash", "libc6"], "reboot": []}
    assert steps(apt) == ["update", "--simulate full-upgrade", "--download-only full-upgrade", "full-upgrade"]
    assert apt.calls("dpkg") == [["--force-confdef", "--force-confold", "--configure", "-a"]]
    assert "Dpkg::Options::=--force-confold" in apt.calls("apt-get")[-1]


def test_debian_without_news_is_left_alone(apt: Programs) -> None:
    apt.add("apt-get")
    assert debian.install() == {"installed": [], "reboot": []}
    assert steps(apt) == ["update", "--simulate full-upgrade"]
    assert apt.calls("dpkg") == []


def test_interrupted_installation_is_finished(apt: Programs, tmp_path: Path) -> None:
    """Nothing is new, but a package waits for its configuration; dpkg's question would wait for ever."""
    apt.add("apt-get", SIMULATED % "Conf libc6 (2)\\n")
    apt.add("dpkg", f"readlink /proc/self/fd/0 > {tmp_path}/asks")
    assert debian.look()["waiting"] == ["libc6"]
    assert debian.install()["installed"] == ["libc6"]
    assert (tmp_path / "asks").read_text() == "/dev/null\n"


def test_apt_asks_no_questions(apt: Programs, tmp_path: Path) -> None:
    apt.add("apt-get", f'echo "$DEBIAN_FRONTEND $LC_ALL" > {tmp_path}/seen; read answer || true')
    debian.look()
    assert (tmp_path / "seen").read_text() == "noninteractive C.UTF-8\n"


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("echo 'W: odd' >&2; echo 'E: no mirror' >&2; echo 'E: more' >&2; exit 100", "E: no mirror"),
        ("exit 7", "apt ended with 7"),
        ("exec sleep 20", "apt did not end within 0 minutes"),
    ],
)
def test_apt_that_fails_is_one_line(
    apt: Programs, config: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    script: str, says: str,
) -> None:  # fmt: skip
    apt.add("apt-get", script)
    monkeypatch.setattr(debian, "LISTS", 0.3 if "sleep" in script else 60)
    monkeypatch.setattr(main.configuration, "read", lambda: config)
    assert main.main(["debian", "--install"]) == 1
    assert json.loads(capsys.readouterr().out) == {"error": says}


def test_debian_command_looks_or_installs(
    apt: Programs, config: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(main.configuration, "read", lambda: config)
    assert main.main(["debian"]) == 0
    assert "waiting" in json.loads(capsys.readouterr().out)
    assert "full-upgrade" not in steps(apt)
    assert main.main(["debian", "--install"]) == 0
    assert "installed" in json.loads(capsys.readouterr().out)


def test_download_that_fails_installs_nothing(apt: Programs) -> None:
    plan = SIMULATED % PLANNED.replace("\n", "\\n")
    apt.add("apt-get", f"{plan}\ncase \"$*\" in *--download-only*) echo 'E: broken line' >&2; exit 100;; esac")
    with pytest.raises(UpgradeError, match=r"^E: broken line$"):
        debian.install()
    assert steps(apt)[-1] == "--download-only full-upgrade"


def test_reboot_reasons_of_a_removed_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container there is no kernel of its own; the message bus is not restarted without a reboot."""
    monkeypatch.setattr(os, "uname", lambda: type("U", (), {"release": "6.1.0-9-amd64"}))
    for directory in ("boot", "run/systemd", "proc/40", "proc/41"):
        (tmp_path / directory).mkdir(parents=True)
    assert debian.reboot_reasons(tmp_path) == []
    (tmp_path / "boot/vmlinuz-6.1.0-10-amd64").touch()
    assert debian.reboot_reasons(tmp_path) == ["kernel 6.1.0-9-amd64 runs and is no longer installed"]
    (tmp_path / "run/systemd/container").touch()
    assert debian.reboot_reasons(tmp_path) == []
    (tmp_path / "run/reboot-required").touch()
    old = "7f r-xp 00 08:01 7 /usr/bin/dbus-daemon (deleted)\n"
    for number, name in ((40, "dbus-daemon"), (41, "cron")):
        (tmp_path / f"proc/{number}/comm").write_text(f"{name}\n")
        (tmp_path / f"proc/{number}/maps").write_text(old)
    assert debian.reboot_reasons(tmp_path) == [
        "a package asks for it",
        "dbus-daemon still runs files that were replaced",
    ]
