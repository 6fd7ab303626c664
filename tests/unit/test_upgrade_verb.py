"""`upgrade` and `rollback` as typed: what is asked of the server in which order, and what serves after a fault."""

from __future__ import annotations

import datetime
import json
import time
from types import SimpleNamespace
from typing import Any

import pytest

from runner.errors import CoursehubError
from runner.servers.access import Access
from runner.servers.claim import claim
from runner.verbs import backup, upgrade
from tests.support.programs import Programs
from tests.support.upgrading import NEW, OLD, Upgrading, made, server, state

__all__ = ["made", "server"]

pytestmark = pytest.mark.unit
TRY = "try --host phys.coursehub.test"
FULL: tuple[str, ...] = ()


def test_upgrade_tries_first_and_then_switches(server: Upgrading, coursehub: Any) -> None:
    ended = coursehub("upgrade", "phys", "--json")
    assert ended.code == 0, ended.err
    assert (ended.document["before"], ended.document["after"]) == (OLD, NEW)
    assert ended.document["trial"] == {"seconds": {"kernel": 1.0}, "environments": []}
    assert ended.document["highstate"] == {"total": 1, "changed": 1, "failed": 0}
    # The server's own programs, the plan, and after the trial everything. Each unit ends with mend.
    assert server.asked == [upgrade._TOOLS, ("test", *upgrade._VERSION), FULL]
    assert server.commands == ["mend", f"{TRY} --environments", "mend", "guard", "mend", "debian"]
    assert Access(server.project, "phys").applied.exists()


def test_upgrade_says_the_way_back(server: Upgrading, coursehub: Any) -> None:
    server.planned = [state("file.managed")]
    said = coursehub("upgrade", "phys").out
    assert "JupyterHub 5.0, environment b1 -> JupyterHub 6.0, environment b2; 'coursehub rollback phys' goes" in said
    assert "has no backup, so none was made before the upgrade" in said
    # No new environment is planned, so none needs room.
    assert TRY in server.commands


def test_upgrade_without_a_change_tries_nothing(server: Upgrading, coursehub: Any) -> None:
    server.planned = [state("file.managed", changed=False)]
    ended = coursehub("upgrade", "phys")
    assert ended.code == 0, ended.err
    assert "phys: the hub is of this version already" in ended.out
    assert server.commands == ["mend", "debian"]


def test_trial_that_fails_changes_nothing(server: Upgrading, coursehub: Any) -> None:
    server.answers("try", error="kernel: a kernel answered 21")
    ended = coursehub("upgrade", "phys", "--json")
    assert ended.code == 1
    assert (
        "phys: the new version did not pass its trial, so the old version serves as before: kernel: a kernel answered"
        in ended.line
    )
    assert ended.document["trial"]["error"] == "kernel: a kernel answered 21"
    assert "guard" not in server.commands and FULL not in server.asked


def test_states_of_the_trial_that_fail_are_named(server: Upgrading, coursehub: Any) -> None:
    failed = {"result": False, "comment": "no such wheel", "__id__": "hub", "__sls__": "jupyterhub.install"}
    server.answers("try", states=json.dumps({"local": {"uv_env_|-hub_|-hub_|-installed": failed}}))
    ended = coursehub("upgrade", "phys")
    assert ended.code == 1
    assert "state hub (jupyterhub.install) failed: no such wheel" in ended.line
    assert ended.line.endswith("then run 'coursehub upgrade phys'")
    assert "guard" not in server.commands and FULL not in server.asked


def broken(server: Upgrading) -> None:
    server.hub.behaviour.login_page_status = 502


def test_new_version_that_does_not_work_goes(server: Upgrading, coursehub: Any) -> None:
    """The server hears why, and the teacher too."""
    server.apply = lambda: broken(server)
    ended = coursehub("upgrade", "phys", "--json")
    assert ended.code == 1
    assert "phys: the new version does not work, and the old one serves again after 3 s: " in ended.line
    assert "no login page (HTTP 502)" in ended.line
    assert ended.document["back"] == {"kept": False, "seconds": 3.2, "lost": ""}
    assert "debian" not in server.commands


def test_failed_states_bring_the_old_version_back(server: Upgrading, coursehub: Any) -> None:
    server.applied = [state("file.managed", failed="no space left in this place")]
    server.says("guard", (server.programs.directory / "on-guard").read_text().replace('""', '"ada must sign in again"'))
    line = coursehub("upgrade", "phys").line
    assert "the old one serves again after 3 s; ada must sign in again: state the file.managed" in line
    # It is not so: the states' work is gone.
    assert "what already works keeps working" not in line


def test_what_was_broken_before_is_not_blamed_on_it(server: Upgrading, coursehub: Any) -> None:
    """Otherwise nobody could mend a broken hub with an upgrade."""
    broken(server)
    ended = coursehub("upgrade", "phys", "--json")
    assert ended.code == 1
    assert "the check 'login page' fails" in ended.line
    assert ended.document["after"] == NEW
    assert "back" not in ended.document


@pytest.mark.parametrize(
    ("guard", "says"),
    [
        ("""echo '{"error": "no room"}'""", "phys: the old version cannot be saved, so it serves on: no room"),
        ("echo '{}'; read word; exit 1", "so it is not known which version serves; 'coursehub upgrade phys' finishes"),
        (
            """echo '{}'; read word; echo '{"kept": false, "reason": "silence"}'""",
            "phys: the server put the old version back: silence",
        ),
    ],
)
def test_guard_that_does_not_keep(server: Upgrading, coursehub: Any, guard: str, says: str) -> None:
    server.says("guard", guard)
    ended = coursehub("upgrade", "phys")
    assert ended.code == 1
    assert says in ended.line
    assert (FULL in server.asked) == ("no room" not in says)


@pytest.mark.parametrize(
    ("guard", "says"),
    [
        (
            "echo '{}'; read word; exit 1",
            "; the connection broke too, and the server puts the old version back by itself",
        ),
        ("""echo '{}'; read word; echo '{"error": "no hub"}'""", "phys: no hub; before that: phys: the connection"),
    ],
)
def test_fault_on_the_way_back_is_said(server: Upgrading, coursehub: Any, guard: str, says: str) -> None:
    def breaks() -> None:
        raise CoursehubError("phys: the connection to the server broke")

    server.apply = breaks
    server.says("guard", guard)
    ended = coursehub("upgrade", "phys")
    assert ended.code == 1
    assert says in ended.line
    assert "phys: the connection to the server broke" in ended.line


def test_tools_that_cannot_be_installed_end_it(server: Upgrading, coursehub: Any) -> None:
    server.tools = [state("file.managed", failed="Disk is odd")]
    ended = coursehub("upgrade", "phys")
    assert "state the file.managed (jupyterhub.install) failed: Disk is odd" in ended.line
    assert server.commands == []


def test_upgrade_that_was_cut_off_is_told(server: Upgrading, coursehub: Any) -> None:
    server.answers("mend", mended="switching")
    document = coursehub("upgrade", "phys", "--json").document
    assert "phys: an earlier upgrade was cut off; the version before it was put back first" in document["notes"]


def test_reboot_waits_for_people(server: Upgrading, coursehub: Any) -> None:
    """Nothing at all is done then."""
    server.programs.add("systemctl", "echo 'jupyter-ada.service loaded active running'")
    ended = coursehub("upgrade", "phys", "--reboot")
    assert "phys: one person is at work, and a reboot ends their kernels; nothing was changed" in ended.line
    assert (server.asked, server.commands) == ([], [])


def test_debians_packages_wait_for_people(server: Upgrading, coursehub: Any) -> None:
    server.says(
        "debian", """[ "$2" = --install ] && echo '{"installed": ["a"], "reboot": ["r"]}' || """
        """echo '{"waiting": ["a", "b"], "reboot": []}'""",
    )  # fmt: skip
    server.programs.add("systemctl", "echo 'jupyter-ada.service loaded active running'")
    said = coursehub("upgrade", "phys").out
    assert "2 of Debian's packages wait, because one person is at work" in said
    assert "debian --install" not in server.commands
    server.programs.add("systemctl")
    said = coursehub("upgrade", "phys").out
    assert "1 of Debian's packages upgraded" in said and "needs a restart: r" in said
    assert server.commands[-1] == "debian --install"


def test_debians_fault_leaves_the_hub_upgraded(server: Upgrading, coursehub: Any) -> None:
    server.answers("debian", error="E: no mirror")
    ended = coursehub("upgrade", "phys", "--json")
    assert ended.code == 1
    assert "Debian's packages were not upgraded: E: no mirror; the hub itself is upgraded" in ended.line
    assert ended.document["after"] == NEW


def test_upgrade_makes_a_backup_first(server: Upgrading, coursehub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = Programs(server.programs.directory)
    status = {"now": 5, "problem": "the disk of the target is full", "targets": {}}
    programs.add("coursehub-backup", f"echo '{json.dumps(status)}'")
    monkeypatch.setattr(backup, "_COMMAND", str(programs.directory / "coursehub-backup"))
    ended = coursehub("upgrade", "phys")
    assert "the disk of the target is full; nothing was changed" in ended.line
    assert server.commands == ["mend"]
    assert ["start", "coursehub-backup.service"] in programs.calls("systemctl")
    assert coursehub("upgrade", "phys", "--no-backup").code == 0


def test_upgrade_of_a_claimed_course_is_refused(server: Upgrading, coursehub: Any) -> None:
    with claim(server.project, "phys", "apply"):
        ended = coursehub("upgrade", "phys")
    assert "runs 'apply' on it" in ended.line
    assert (server.asked, server.commands) == ([], [])


def test_rollback_says_which_settings_come_back(server: Upgrading, coursehub: Any) -> None:
    """Before it begins, and at the end: a change of the network since the upgrade is not what a teacher thinks of."""
    at = datetime.datetime(2026, 11, 30, 14, 5).timestamp()
    server.answers("look", serves=NEW, no_way_back="", saved={"serves": OLD, "at": at})
    server.answers("rollback", serves=OLD, lost="")
    ended = coursehub("rollback", "phys")
    said = "phys goes back to JupyterHub 5.0, environment b1, and to the hub's settings of 2026-11-30 14:05, the"
    assert said in ended.err
    assert ended.err.index(said) < ended.err.index("comes back")
    assert "the hub's settings are those of 2026-11-30 14:05 again, the network and sign-in too" in ended.out
    # What to do about a newer setting.
    assert "newer settings of the course file, and new people, come with the next 'coursehub upgrade phys'" in ended.out


def test_rollback_says_what_serves_and_what_is_lost(server: Upgrading, coursehub: Any) -> None:
    server.answers("look", serves=NEW, no_way_back="")
    server.answers("rollback", serves=OLD, lost="who came must sign in again")
    ended = coursehub("rollback", "phys")
    assert ended.code == 0, ended.err
    assert "JupyterHub 6.0, environment b2 -> JupyterHub 5.0, environment b1" in ended.out
    assert "are kept; but who came must sign in again" in ended.out
    assert server.commands == ["rollback", "mend"]
    assert server.asked == []


@pytest.mark.parametrize(
    ("word", "answer", "says"),
    [
        ("look", {"serves": OLD, "no_way_back": "there is no version before"}, "phys: there is no version before"),
        ("rollback", {"error": "its hub does not start"}, "phys: its hub does not start"),
    ],
)
def test_rollback_that_is_not_possible(
    server: Upgrading, coursehub: Any, word: str, answer: dict[str, Any], says: str
) -> None:
    server.answers(word, **answer)
    ended = coursehub("rollback", "phys")
    assert (ended.code, says in ended.line) == (1, True), ended.line
    assert ("rollback" in server.commands) == (word == "rollback")


def test_rollback_waits_until_the_old_hub_serves(
    server: Upgrading, coursehub: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proxy answers 503 for a moment; a hub that stays away is told, with what was done."""
    server.answers("rollback", serves=OLD, lost="")
    broken(server)
    seen: list[float] = []

    def sleep(seconds: float) -> None:
        seen.append(seconds)
        server.hub.behaviour.login_page_status = 200

    # Not time.sleep itself: the servers of this test sleep too.
    monkeypatch.setattr(upgrade, "time", SimpleNamespace(sleep=sleep, monotonic=time.monotonic))
    assert coursehub("rollback", "phys").code == 0
    assert len(seen) == 1
    broken(server)
    monkeypatch.setattr(upgrade, "_SETTLE", -1.0)
    ended = coursehub("rollback", "phys", "--json")
    assert (ended.code, ended.document["after"]) == (1, OLD)
    assert "no login page (HTTP 502)" in ended.line
