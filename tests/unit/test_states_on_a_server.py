"""States run on a server by salt-ssh: states shipped before, failures, and connections that break."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import psutil
import pytest

import runner.servers.access
from runner import saltssh
from runner.errors import CoursehubError
from runner.people.passwords import Passwords
from runner.saltssh import argv, running
from runner.saltssh import shipped as shipped_states
from runner.servers.access import Access
from runner.session import CHECK_ACCOUNT
from tests.support.root import need_root
from tests.support.school import (
    STATES,
    Coursehub,
    School,
    coursehub,  # noqa: F401
    school,  # noqa: F401
    up,  # noqa: F401
)

need_root()
pytestmark = [pytest.mark.unit, pytest.mark.timeout(300)]
LONGER = f"""{STATES}
unit-nap:
  cmd.run:
    - name: 'true'
    - unless: sleep 1; for i in $(seq 300); do test -e /srv/nap || break; sleep 0.2; done
"""
FAILING = """
unit-broken:
  cmd.run:
    - name: 'echo "no such printer" >&2; exit 3'

unit-needs-it:
  test.nop:
    - require:
      - cmd: unit-broken
"""


def no_salt_ssh(*_: str) -> list[str]:
    return ["sh", "-c", "echo there is no salt-ssh; exit 1"]


@pytest.fixture
def shipped(up: School, coursehub: Coursehub, monkeypatch: pytest.MonkeyPatch) -> Access:
    """The states were shipped, and from here on salt-ssh is missing, so they cannot be shipped again."""
    # Long enough for the message about their package, as above.
    up.states(LONGER)
    assert coursehub("apply", "phys").code == 0
    monkeypatch.setattr(running, "argv", no_salt_ssh)
    return Access(up.project, "phys")


def test_an_apply_without_a_change_runs_what_was_shipped(up: School, shipped: Access, coursehub: Coursehub) -> None:
    """All states run: changes made by hand on the server are corrected, and progress is shown as usual."""
    again = coursehub("apply", "phys", "--json").document["courses"]["phys"]
    assert (again["total"], again["changed"]) == (3, 0)
    shipped.run(up.ip, "echo by hand > /srv/title")
    planned = coursehub("plan", "phys", "--json").document["courses"]["phys"]
    assert (planned["total"], planned["would_change"]) == (3, 1)
    heard: list[tuple[int, int, str]] = []
    report = saltssh.highstate(up.project, "phys", ip=up.ip, watch=lambda *now: heard.append(now))
    assert [state.name for state in report.changed] == ["/srv/title"]
    assert report.warnings == ("remember the class at nine",)
    assert [now[:2] for now in heard] == [(1, 3), (2, 3), (3, 3)]
    assert shipped.run(up.ip, "cat /srv/title").strip() == "first"


@pytest.mark.usefixtures("shipped")
def test_shipped_states_are_not_run_if_sources_changed(up: School, coursehub: Coursehub) -> None:
    for text in (LONGER.replace("first", "second"), LONGER + "# a comment\n"):
        up.states(text)
        assert "there is no salt-ssh" in coursehub("apply", "phys").line
    up.states(LONGER)
    assert coursehub("apply", "phys").code == 0
    # Only some of the states cannot use it.
    with pytest.raises(CoursehubError, match="there is no salt-ssh"):
        saltssh.highstate(up.project, "phys", ip=up.ip, sls=["unit"])


def test_what_the_server_no_longer_has_is_shipped_again(
    up: School, shipped: Access, coursehub: Coursehub, monkeypatch: pytest.MonkeyPatch
) -> None:
    thin, package = runner.servers.access.THIN_DIR, shipped_states.PACKAGE
    files = f"{package} {thin}/minion {thin}/ext_version"
    script = shipped_states.script(shipped, shipped_states.inputs(up.project, "phys"), test=False)
    shipped.run(up.ip, f"mkdir /root/before && cp -p {files} /root/before")
    for happened in (
        # salt-ssh typed by hand for some of the states leaves another package, on another branch other modules.
        f"echo another >> {package}",
        f"rm {package}",
        f"echo >> {thin}/minion",
        f"echo 0 > {thin}/ext_version",
        # An upgrade to the next release; states differ by release.
        "cp /etc/os-release /etc/new && mv /etc/new /etc/os-release",
    ):
        shipped.run(up.ip, happened)
        done = subprocess.run(shipped.argv(up.ip, "/bin/sh", "-s"), input=script, text=True, check=False)
        assert done.returncode == shipped_states.STALE, happened
        shipped.run(up.ip, f"cp -p /root/before/* {thin}; touch {package}")
    assert coursehub("apply", "phys").code == 0
    shipped.run(up.ip, f"rm -r {thin}")
    monkeypatch.setattr(running, "argv", argv)
    planned = coursehub("plan", "phys", "--json")
    assert planned.code == 0, planned.err
    assert planned.document["courses"]["phys"]["total"] == 3
    # plan ships the same package as apply, so apply can use it.
    monkeypatch.setattr(running, "argv", no_salt_ssh)
    assert coursehub("apply", "phys").code == 0


def test_nothing_starts_beside_shipped_states_that_may_run(up: School, shipped: Access) -> None:
    """Only the connection ends, while they run."""

    def cut(count: int, *_: object) -> None:
        if count == 3:
            for one in psutil.Process().children():
                if one.name() == "ssh":
                    one.terminate()

    shipped.run(up.ip, "touch /srv/nap")
    with pytest.raises(CoursehubError, match=rf"the connection to {up.ip} broke in the middle of the highstate"):
        saltssh.highstate(up.project, "phys", ip=up.ip, watch=cut)
    shipped.run(up.ip, "rm /srv/nap")
    heard: list[str] = []
    report = saltssh.highstate(up.project, "phys", ip=up.ip, watch=lambda *now: heard.append(now[2]))
    assert len(report.states) == 3
    assert heard


def test_file_saved_meanwhile_does_not_count_as_shipped(up: School) -> None:
    up.states(LONGER + "# one\n")
    saltssh.highstate(up.project, "phys", ip=up.ip, watch=lambda *_: up.states(LONGER + "# two\n"))
    access = Access(up.project, "phys")
    up.states(LONGER + "# one\n")
    assert shipped_states.script(access, shipped_states.inputs(up.project, "phys"), test=False) is None


def test_no_job_cache_keeps_what_a_server_answered(up: School, monkeypatch: pytest.MonkeyPatch) -> None:
    """salt-ssh typed by hand: the pillar that it shows is stored nowhere but in the pillar itself."""
    monkeypatch.chdir(up.project.root)
    asked = [str(Path(sys.executable).parent / "salt-ssh"), "phys", "pillar.items", "--out=json", "--static"]
    done = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=120)
    password = Passwords(up.project, "phys").read()[CHECK_ACCOUNT].hash
    assert password in done.stdout
    kept = [path for path in (up.project.state / "salt").rglob("*") if path.is_file()]
    assert kept
    assert [path for path in kept if password.encode() in path.read_bytes()] == []
    assert not (up.project.state / "salt/cache/jobs").exists()


def test_a_state_that_fails_is_named_with_what_its_program_said(up: School, coursehub: Coursehub) -> None:
    up.states(STATES + FAILING)
    ended = coursehub("apply", "phys", "--json")
    assert ended.code == 1
    assert "state unit-broken (unit) failed: no such printer" in ended.line
    assert "coursehub apply phys" in ended.line
    assert ended.document["courses"]["phys"]["failed"] == 2
    ended = coursehub("up", "phys", "--yes", "--json")
    assert ended.code == 1
    assert "no such printer" in ended.line
    assert ended.document["highstate"]["failed"] == 2


def test_states_that_do_not_render_are_one_line(up: School, coursehub: Coursehub) -> None:
    up.states("{{ nothing.there }}")
    ended = coursehub("apply", "phys")
    assert ended.code == 1
    assert (
        "the states do not render: Rendering SLS 'base:unit' failed: Jinja variable 'nothing' is undefined"
        in ended.line
    )


def test_only_some_states_and_an_earlier_run_is_waited_for(up: School) -> None:
    """After a broken connection the server's process still runs; two at once would fight over apt."""
    access = Access(up.project, "phys")
    access.run(up.ip, f"nohup sh -c 'sleep 2; :' {runner.servers.access.THIN_DIR}/salt-call >/dev/null 2>&1 &")
    # Long enough for a message: the log is followed, and the follower ends with the highstate.
    up.states(STATES + "\nunit-nap:\n  cmd.run:\n    - name: sleep 2\n")
    heard: list[tuple[int, int, str]] = []
    packed: set[Path] = set()

    def watch(*event: Any) -> None:
        heard.append(event)
        packed.update((up.project.state / "scratch").glob("*/__salt.tmp.*"))

    report = saltssh.highstate(up.project, "phys", ip=up.ip, sls=["unit"], watch=watch)
    assert [state.name for state in report.states] == ["/srv/title", "unit-note", "unit-nap"]
    assert heard[0] == (0, 0, "waiting for an earlier run to end on the server")
    assert [event[:2] for event in heard[-3:]] == [(1, 3), (2, 3), (3, 3)]
    assert "nap" in heard[-1][2]
    # The package has the pillar in clear, and was where the next run would find it.
    assert packed
    assert not any(path.parent.exists() for path in packed)


def test_server_that_dies_midway_differs_from_a_silent_one(
    up: School, coursehub: Coursehub, monkeypatch: pytest.MonkeyPatch
) -> None:
    up.states(STATES + "\nunit-nap:\n  cmd.run:\n    - name: sleep 60\n")
    began = threading.Event()

    def pull_the_plug() -> None:
        began.wait(60)
        up.machines.kill(up.droplet)

    killer = threading.Thread(target=pull_the_plug)
    killer.start()
    with pytest.raises(CoursehubError, match=rf"the connection to {up.ip} broke in the middle of the highstate"):
        saltssh.highstate(up.project, "phys", ip=up.ip, watch=lambda count, *_: began.set() if count == 3 else None)
    killer.join()
    monkeypatch.setattr(runner.servers.access, "SSH_SECONDS", 1)
    ended = coursehub("apply", "phys")
    assert ended.code == 1
    assert f"SSH on {up.ip} does not answer after 1 s" in ended.line
    for verb in (("ssh", "phys", "true", "--json"), ("logs", "phys", "--json")):
        assert f"SSH to {up.ip} failed (" in coursehub(*verb).line
