"""The verbs against a server: API over HTTP, OpenSSH with host keys, salt-ssh and a hub over TLS are the real ones.

Only the machine is a stand-in: its sshd runs in namespaces of this host, and its states take no time.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.audit import versions
from runner.hub import inside
from runner.hub.checks import Check
from runner.people.passwords import Passwords
from runner.project import Project
from runner.secrets.vault import KEYS_VARIABLE
from runner.servers.access import Access, KeyPair
from runner.session import CHECK_ACCOUNT
from runner.verbs import keys
from tests.support.bad_line import BadLine
from tests.support.computer import enter_network
from tests.support.names import Names
from tests.support.root import eventually, need_root
from tests.support.school import (
    REPO,
    STATES,
    Coursehub,
    School,
    coursehub,  # noqa: F401
    school,  # noqa: F401
    up,  # noqa: F401
)
from tests.support.stand_in_hub import serve
from tests.support.storm import (
    SEEDS,
    quick,  # noqa: F401
)

need_root()
pytestmark = [pytest.mark.unit, pytest.mark.timeout(300)]


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
    """No hub listens on this server: all is made and configured, and the check from outside fails."""
    ended = coursehub("up", "phys", "--yes", "--json")
    assert ended.code == 1, ended.err
    document = ended.document
    assert document["highstate"]["failed"] == 0, ended.err
    assert document["highstate"]["changed"] >= 1
    assert document["server"]["ip"] == school.ip
    failed = [check["name"] for check in document["checks"] if not check["ok"]]
    assert "certificate" in failed
    assert "the check 'dns' fails:" in ended.line
    access = Access(school.project, "phys")
    # The key from the user-data was used once: the server now has another one, the only known one.
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
    # The hub is a stand-in without nginx.
    monkeypatch.setattr(versions, "look_at_nginx", lambda *_: Check("nginx", True, "1.0 runs"))
    monkeypatch.setattr(inside, "look", lambda *_, **__: [Check("units", True, "all run")])
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
    """As the hub itself writes the log; a line that a full disk truncated hides no other line."""
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
    """So that a terminal, its size and its signals belong to the remote shell."""
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


def test_wrong_host_key_is_refused_by_every_verb(up: School, coursehub: Coursehub) -> None:
    known = Access(up.project, "phys").known_hosts
    right = known.read_text()
    known.write_text(f"coursehub-phys {' '.join(KeyPair.generate('x').public.split()[:2])}\n")
    try:
        for verb in (("apply", "phys"), ("up", "phys"), ("ssh", "phys", "true", "--json"), ("logs", "phys", "--json")):
            ended = coursehub(*verb)
            assert ended.code == 1
            assert "shows another host key than the known one" in ended.line
    finally:
        known.write_text(right)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("seed", SEEDS)
def test_seeds_fault_14_changed_host_key(
    up: School, coursehub: Coursehub, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """The cloud is behind a bad network: no retry and no new run lets a server with another key in."""
    known = Access(up.project, "phys").known_hosts
    right = known.read_text()
    known.write_text(f"coursehub-phys {' '.join(KeyPair.generate('x').public.split()[:2])}\n")
    up.states(STATES.replace("first", "never"))
    try:
        with BadLine(up.api.url, seed).open() as line:
            monkeypatch.setenv("DIGITALOCEAN_END_POINT", f"{line.url}/v2/")
            for verb in (("apply", "phys"), ("up", "phys", "--yes")):
                said: list[str] = []
                while "shows another host key than the known one" not in " ".join(said[-1:]):
                    assert len(said) < 5, said
                    ended = coursehub(*verb)
                    assert ended.code == 1
                    said.append(ended.line)
    finally:
        known.write_text(right)
    assert Access(up.project, "phys").run(up.ip, "cat /srv/title").strip() != "never"


def test_restored_keys_on_a_new_computer_apply(
    up: School, coursehub: Coursehub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A clone without ``.coursehub`` and the file of ``keys backup``: ``apply`` gets in and changes nothing."""
    # Other tests leave the server with another title.
    assert coursehub("apply", "phys").code == 0
    words = "seven fat cats eat a quiet lunch"
    keys.backup(up.project, tmp_path / "my.keys", words)
    other = Project(tmp_path / "clone")
    shutil.copytree(up.project.root, other.root, symlinks=True, ignore=shutil.ignore_patterns(".coursehub"))
    monkeypatch.setenv("COURSEHUB_ROOT", str(other.root))
    monkeypatch.setenv(KEYS_VARIABLE, str(tmp_path / "other-keys"))
    assert "its keys are not here" in coursehub("apply", "phys").line
    keys.restore(other, tmp_path / "my.keys", words, replace=False)
    ended = coursehub("apply", "phys", "--json")
    assert ended.code == 0, ended.err
    assert ended.document["courses"]["phys"]["changes"] == []
    assert coursehub("ssh", "phys", "--json", "id", "-un").document["stdout"] == "root\n"


def test_interrupted_first_contact_is_continued(up: School, coursehub: Coursehub) -> None:
    """The key from the user-data is back, as if up had died before its last step: up completes it."""
    Access(up.project, "phys").first_host_key()
    ended = coursehub("apply", "phys")
    assert "its up was interrupted; run 'coursehub up phys'" in ended.line
    assert coursehub("up", "phys", "--yes", "--json").document["highstate"]["failed"] == 0
    assert not Access(up.project, "phys").has_first_host_key()


def test_down_leaves_nothing(up: School, coursehub: Coursehub) -> None:
    ended = coursehub("down", "phys", "--yes", "--json")
    assert (ended.code, len(ended.document["removed"])) == (0, 1)
    assert up.machines.processes == {}
    assert up.api.ok("GET", "domains/coursehub.test/records?type=A")["domain_records"] == []
    assert not (up.project.state / "servers" / "phys").exists()
    assert "phys" not in (up.project.state / "roster").read_text()
