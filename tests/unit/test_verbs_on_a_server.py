"""The verbs against a server: API over HTTP, OpenSSH with host keys, salt-ssh and a hub over TLS are the real ones.

Only the machine is made up: its sshd runs in namespaces of this host, and its states are a few that take no time.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests.adapters

import runner.servers.access
from runner import saltssh
from runner.audit import versions
from runner.errors import CoursehubError
from runner.hub import inside
from runner.hub.checks import Check
from runner.people.passwords import Passwords
from runner.project import Project
from runner.saltssh import argv, running
from runner.saltssh import shipped as shipped_states
from runner.servers.access import Access, KeyPair
from runner.session import CHECK_ACCOUNT
from tests.support.authority import Authority
from tests.support.computer import Computers, enter_network
from tests.support.local_api import TOKEN, Api, served
from tests.support.names import Names
from tests.support.programs import unmeasured
from tests.support.root import eventually, need_root
from tests.support.stand_in_hub import Hub, serve
from tests.support.typed import Ended, typed

need_root()
pytestmark = [pytest.mark.unit, pytest.mark.timeout(300)]

REPO = Path(__file__).resolve().parents[2]
STATES = """
/srv/title:
  file.managed:
    - contents: first
    - mode: '0644'

unit-note:
  test.configurable_test_state:
    - changes: False
    - result: True
    - warnings: remember the class at nine
"""
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


@dataclass
class School:
    """A working copy with one course on "DigitalOcean", and the account there."""

    project: Project
    api: Api
    machines: Computers
    hub: Hub
    authority: Authority

    @property
    def ip(self) -> str:
        server = Access(self.project, "phys").server()
        assert server
        assert server.ip
        return server.ip

    @property
    def droplet(self) -> int:
        (number,) = self.machines.on
        return number

    def states(self, text: str) -> None:
        (self.project.root / "salt" / "unit.sls").write_text(text)


def _working_copy(root: Path) -> Project:
    for part in ("pillar", "formulas", "salt/config", "salt/_returners"):
        shutil.copytree(REPO / part, root / part)
    shutil.copy(REPO / "Saltfile", root)
    config = root / "salt/config/master"
    # Of Salt's state modules none is looked at but what our states use; these here use one more.
    config.write_text(config.read_text(encoding="utf-8").replace(" test,", ""), encoding="utf-8")
    demo = root / "pillar/courses/demo.sls"
    text = demo.read_text(encoding="utf-8").replace("cloud: local ", "cloud: digitalocean ")
    demo.unlink()
    (root / "pillar/courses/phys.sls").write_text(
        text.replace("engr114", "phys").replace("debian-13-x64", "debian-12-x64"), encoding="utf-8"
    )
    shutil.move(root / "pillar/files/locks/demo.txt", root / "pillar/files/locks/phys.txt")
    (root / "salt/top.sls").write_text("base:\n  '*':\n    - unit\n")
    return Project(root)


@pytest.fixture(scope="module")
def school(tmp_path_factory: pytest.TempPathFactory) -> Iterator[School]:
    """One server for the module: the first contact of salt-ssh costs more than all the rest."""
    directory = tmp_path_factory.mktemp("school")
    project = _working_copy(directory / "root")
    authority = Authority(directory)
    with (
        pytest.MonkeyPatch.context() as patched,
        Computers.on(directory) as machines,
        served(directory, machines) as api,
    ):
        # The verbs run in this process; salt-ssh would take half as long again, and all of it is Salt's.
        unmeasured(patched)
        patched.setenv("COURSEHUB_ROOT", str(project.root))
        patched.setenv("DIGITALOCEAN_END_POINT", f"{api.url}/v2/")
        patched.setenv("DIGITALOCEAN_ACCESS_TOKEN", TOKEN)
        # The system trusts the test's authority, in each of the ways that programs ask it.
        patched.setenv("SSL_CERT_FILE", str(authority.bundle))
        patched.setattr(requests.adapters, "DEFAULT_CA_BUNDLE_PATH", str(authority.bundle))
        password = Passwords(project, "phys").ensure([CHECK_ACCOUNT])[CHECK_ACCOUNT].clear
        made = School(project, api, machines, Hub(password=password, https_port=443, http_port=80), authority)
        made.states(STATES)
        yield made


Coursehub = Callable[..., Ended]


@pytest.fixture
def coursehub(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Coursehub:
    """A verb as typed."""

    def run(*arguments: str) -> Ended:
        return typed(monkeypatch, capsys, *arguments)

    return run


@pytest.fixture
def up(school: School, coursehub: Coursehub) -> School:
    """The course's server, made once."""
    if not school.machines.on:
        coursehub("up", "phys", "--yes")
    school.states(STATES)
    return school


@pytest.fixture
def open_hub(up: School, monkeypatch: pytest.MonkeyPatch) -> Iterator[School]:
    """With a hub behind the course's names."""
    hosts = ("phys.coursehub.test", "www.phys.coursehub.test", "*.phys.coursehub.test")
    Names(dict.fromkeys(hosts, up.ip)).install(monkeypatch)
    context = up.authority.server_context(*hosts)
    namespace = up.machines.namespace(up.droplet)
    with serve(up.hub, up.ip, context, enter=lambda: enter_network(namespace)):
        yield up


def test_up_from_nothing(school: School, coursehub: Coursehub) -> None:
    """No hub listens on this server: all is made and configured, and the look from outside says what is wrong."""
    ended = coursehub("up", "phys", "--yes", "--json")
    assert ended.code == 1, ended.err
    document = ended.document
    assert document["highstate"]["failed"] == 0, ended.err
    assert document["highstate"]["changed"] >= 1
    assert document["server"]["ip"] == school.ip
    failed = [check["name"] for check in document["checks"] if not check["ok"]]
    assert "certificate" in failed
    assert "the hub runs but" in ended.line
    access = Access(school.project, "phys")
    # The key from the user-data served once: the server has another now, the only one that is known.
    assert not access.has_first_host_key()
    (known,) = access.known_hosts.read_text().splitlines()
    spec = school.machines.specs[school.droplet]
    assert known.split()[2] not in spec.user_data
    assert access.run(school.ip, "grep -rl PRIVATE /var/lib/cloud || true") == ""
    assert access.run(school.ip, "cat /srv/title").strip() == "first"
    password = Passwords(school.project, "phys").read()[CHECK_ACCOUNT].clear
    assert password not in ended.out + ended.err


def test_up_on_a_finished_course_with_a_hub_is_done(open_hub: School, coursehub: Coursehub) -> None:
    ended = coursehub("up", "phys", "--yes")
    assert ended.code == 0, ended.err
    assert "https://phys.coursehub.test/" in ended.out
    assert "  ok   kernel: 5 * 4 = 20, over the websocket" in ended.out
    assert "FAIL" not in ended.out
    assert "passwords/phys" in ended.out
    assert len(open_hub.api.ok("GET", "droplets")["droplets"]) == 1


def test_check_and_status_of_a_hub(open_hub: School, coursehub: Coursehub, monkeypatch: pytest.MonkeyPatch) -> None:
    # The hub is a stand-in, and no nginx is before it.
    monkeypatch.setattr(versions, "look_at_nginx", lambda *_: Check("nginx", True, "1.0 runs"))
    monkeypatch.setattr(inside, "look", lambda _: [Check("units", True, "all run")])
    ended = coursehub("check", "phys", "--json")
    assert (ended.code, ended.document["ok"]) == (0, True)
    (status,) = coursehub("status", "phys", "--json").document["courses"]
    assert (status["state"], status["ip"]) == ("active", open_hub.ip)
    open_hub.hub.behaviour.login_page_status = 502
    try:
        ended = coursehub("check", "phys")
    finally:
        open_hub.hub.behaviour.login_page_status = 200
    assert ended.code == 1
    assert "FAIL login page: no login page (HTTP 502)" in ended.out


def test_plan_shows_the_difference_and_apply_makes_it_once(up: School, coursehub: Coursehub) -> None:
    access = Access(up.project, "phys")
    up.states(STATES.replace("first", "second"))
    planned = coursehub("plan", "phys")
    assert planned.code == 0, planned.err
    assert "-first" in planned.out
    assert "+second" in planned.out
    assert "phys: 1 of 2 states would change, 0 failed" in planned.out
    assert access.run(up.ip, "cat /srv/title").strip() == "first"
    applied = coursehub("apply", "--all", "--json")
    assert applied.code == 0, applied.err
    (change,) = applied.document["courses"]["phys"]["changes"]
    assert (change["state"], change["name"]) == ("file.managed", "/srv/title")
    assert "note: remember the class at nine" in applied.err
    assert access.run(up.ip, "cat /srv/title").strip() == "second"
    again = coursehub("apply", "phys", "--json").document["courses"]["phys"]
    assert (again["changed"], again["changes"]) == (0, [])


def no_salt_ssh(*_: str) -> list[str]:
    return ["sh", "-c", "echo there is no salt-ssh; exit 1"]


@pytest.fixture
def shipped(up: School, coursehub: Coursehub, monkeypatch: pytest.MonkeyPatch) -> Access:
    """The states were shipped, and from here on salt-ssh is not there to ship them again."""
    # Long enough for the news of their package to come, as above.
    up.states(LONGER)
    assert coursehub("apply", "phys").code == 0
    monkeypatch.setattr(running, "argv", no_salt_ssh)
    return Access(up.project, "phys")


def test_an_apply_without_a_change_runs_what_was_shipped(up: School, shipped: Access, coursehub: Coursehub) -> None:
    """All of it: what somebody changed on the server is mended, and watched meanwhile as ever."""
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
def test_what_was_shipped_is_not_run_where_something_else_would_be(up: School, coursehub: Coursehub) -> None:
    for text in (LONGER.replace("first", "second"), LONGER + "# a comment\n"):
        up.states(text)
        assert "there is no salt-ssh" in coursehub("apply", "phys").line
    up.states(LONGER)
    assert coursehub("apply", "phys").code == 0
    # A part of the states is another matter.
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
        # salt-ssh typed by hand for a part of the states leaves another package, on another branch other modules.
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
    # What plan shipped is what apply would: it is run from there.
    monkeypatch.setattr(running, "argv", no_salt_ssh)
    assert coursehub("apply", "phys").code == 0


def test_beside_shipped_states_that_may_still_run_nothing_is_begun(up: School, shipped: Access) -> None:
    """The connection alone ends, in the middle of them."""

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


def test_a_file_that_was_saved_meanwhile_is_not_taken_for_shipped(up: School) -> None:
    up.states(LONGER + "# one\n")
    saltssh.highstate(up.project, "phys", ip=up.ip, watch=lambda *_: up.states(LONGER + "# two\n"))
    access = Access(up.project, "phys")
    up.states(LONGER + "# one\n")
    assert shipped_states.script(access, shipped_states.inputs(up.project, "phys"), test=False) is None


def test_no_job_cache_keeps_what_a_server_answered(up: School, monkeypatch: pytest.MonkeyPatch) -> None:
    """salt-ssh typed by hand: what it shows of the pillar lies nowhere afterwards but in the pillar itself."""
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
    """A broken connection leaves the server's end running; two at once would fight over apt."""
    access = Access(up.project, "phys")
    access.run(up.ip, f"nohup sh -c 'sleep 2; :' {runner.servers.access.THIN_DIR}/salt-call >/dev/null 2>&1 &")
    # Long enough for the news of it to come: the log is followed, and the follower ends with the highstate.
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
    # What was shipped has the pillar in clear, and lay where the next run would find it.
    assert packed
    assert not any(path.parent.exists() for path in packed)


@pytest.mark.usefixtures("up")
def test_ssh_and_logs(coursehub: Coursehub) -> None:
    ended = coursehub("ssh", "phys", "--json", "cat", "/etc/hostname")
    assert ended.document == {"course": "phys", "exit": 0, "stdout": "phys.coursehub.test\n", "stderr": ""}
    assert ended.code == 0
    assert coursehub("ssh", "phys", "--json", "exit 7").code == 7
    logs = coursehub("logs", "phys", "--json")
    assert (logs.code, list(logs.document)) == (0, ["course", "lines"])
    theirs = coursehub("logs", "phys", "abello", "--json")
    assert (theirs.code, list(theirs.document)) == (0, ["course", "lines"])


@pytest.mark.usefixtures("up")
def test_openings_are_shown_as_they_were_logged(coursehub: Coursehub) -> None:
    """By the log that the hub itself writes; a line that a full disk cut short costs the others nothing."""
    assert coursehub("logs", "phys", "--openings").out == "nobody opened any work yet\n"
    entry = {"when": "2026-11-25T18:00:00+00:00", "who": "okafor", "whose": "abello", "what": "folder listed"}
    text = shlex.quote(f'{json.dumps(entry)}\n{{"when": "2026-11')
    coursehub(
        "ssh", "phys", "--json", f"mkdir -p /var/log/coursehub && printf %s {text} > /var/log/coursehub/openings.log"
    )
    local = {**entry, "when": "2026-11-25T10:00:00-08:00"}
    assert coursehub("logs", "phys", "--openings", "--json").document == {"course": "phys", "openings": [local]}
    shown = coursehub("logs", "phys", "--openings").out
    assert shown.split() == ["2026-11-25", "10:00:00-08:00", "okafor", "abello", "folder", "listed"]
    coursehub("ssh", "phys", "--json", "rm -r /var/log/coursehub")


@pytest.mark.usefixtures("up")
@pytest.mark.parametrize(
    "verb", [("ssh", "phys", "id", "-un"), ("logs", "phys", "-f"), ("logs", "phys", "-f", "--openings")]
)
def test_without_json_ssh_takes_the_place_of_the_runner(verb: tuple[str, ...]) -> None:
    """So that a terminal, its size and its signals are the remote shell's own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "runner", *verb],
        env={**os.environ, "PYTHONPATH": str(REPO)},
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    try:
        if "-f" in verb:
            eventually(lambda: Path(f"/proc/{process.pid}/comm").read_text() == "ssh\n")
        else:
            assert process.communicate(timeout=60)[0] == "root\n"
            assert process.returncode == 0
    finally:
        process.kill()
        process.communicate()


def test_another_host_key_is_refused_by_every_verb_and_nothing_is_sent(up: School, coursehub: Coursehub) -> None:
    known = Access(up.project, "phys").known_hosts
    right = known.read_text()
    known.write_text(f"coursehub-phys {' '.join(KeyPair.generate('x').public.split()[:2])}\n")
    try:
        for verb in (("apply", "phys"), ("up", "phys"), ("ssh", "phys", "true", "--json"), ("logs", "phys", "--json")):
            ended = coursehub(*verb)
            assert ended.code == 1
            assert "shows another host key than the one we know" in ended.line
    finally:
        known.write_text(right)


def test_an_interrupted_first_contact_is_gone_on_with(up: School, coursehub: Coursehub) -> None:
    """The key of the user-data came back, as if up had died before its last step: apply sends to up, up goes on."""
    Access(up.project, "phys").first_host_key()
    ended = coursehub("apply", "phys")
    assert "its up was interrupted; run 'coursehub up phys'" in ended.line
    assert coursehub("up", "phys", "--yes", "--json").document["highstate"]["failed"] == 0
    assert not Access(up.project, "phys").has_first_host_key()


def test_a_server_that_goes_down_in_the_middle_is_told_from_one_that_does_not_answer(
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


def test_down_leaves_nothing(up: School, coursehub: Coursehub) -> None:
    ended = coursehub("down", "phys", "--yes", "--json")
    assert (ended.code, len(ended.document["removed"])) == (0, 1)
    assert up.machines.processes == {}
    assert up.api.ok("GET", "domains/coursehub.test/records?type=A")["domain_records"] == []
    assert not (up.project.state / "servers" / "phys").exists()
    assert "phys" not in (up.project.state / "roster").read_text()
