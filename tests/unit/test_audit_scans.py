"""Scanners' output becomes figures: their real output, shortened in tests/unit/scans."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runner.audit import tools
from runner.audit.goals import GOALS, Measure
from runner.audit.scanners import attacks, headers, lynis, openscap, ports, sshd, tls, units
from runner.audit.subject import ScanFailed
from runner.audit.waivers import Waivers
from runner.errors import CoursehubError

pytestmark = pytest.mark.unit
SCANS = Path(__file__).with_name("scans")


def text(name: str) -> str:
    return (SCANS / name).read_text("utf-8")


def ids(measure: Measure) -> list[str]:
    return [one.id for one in measure.findings]


def test_ssh_failures_and_warnings_are_counted() -> None:
    failures, warnings = sshd.parse(json.loads(text("ssh-audit-default.json")))
    assert (len(failures.findings), len(warnings.findings)) == (6, 18)
    assert "kex ecdh-sha2-nistp256" in ids(failures)
    assert "mac umac-64-etm@openssh.com" in ids(warnings)


def test_a_known_hole_of_sshd_is_a_failure() -> None:
    failures, _ = sshd.parse({"cves": [{"name": "CVE-2024-6387", "description": "regreSSHion"}]})
    assert ids(failures) == ["CVE-2024-6387"]


def test_the_policy_says_in_what_it_failed() -> None:
    measure = sshd.parse_policy(json.loads(text("ssh-audit-policy.json")))
    assert measure.value == "failed"
    assert {"Host keys", "Key exchanges", "MACs"} <= set(ids(measure))
    assert sshd.parse_policy({"errors": [], "passed": True}).value == "passed"


def test_our_policy_for_debian_12_allows_no_more_than_ours() -> None:
    policy = dict(re.findall(r"(?m)^([a-z ]+) = (.*)$", text("../../../runner/audit/scanners/debian-12.policy")))
    assert "diffie-hellman-group14-sha256" not in policy["key exchanges"]
    assert not re.search(r"cbc|arcfour|3des", policy["ciphers"])
    assert "etm@openssh.com" in policy["macs"]
    assert not re.search(r"hmac-sha2-256,|hmac-sha1", policy["macs"])


def test_testssl_gives_grade_and_score() -> None:
    grade, score = tls.parse_testssl(json.loads(text("testssl.json")))
    assert (grade.value, score.value) == ("A+", 96)
    assert ids(grade) == ["cert_revocation"]


def test_testssl_without_a_grade_is_no_figure() -> None:
    document = json.loads(text("testssl.json"))
    document["scanResult"][0]["rating"] = []
    with pytest.raises(KeyError):
        tls.parse_testssl(document)


def test_sslyze_says_compliant_or_why_not() -> None:
    assert tls.parse_sslyze(text("sslyze-good.txt")).value == "compliant"
    bad = tls.parse_sslyze(text("sslyze-bad.txt"))
    assert (bad.value, ids(bad)) == ("not compliant", ["certificate_path_validation"])


def test_sslyze_that_could_not_connect_is_no_figure() -> None:
    with pytest.raises(ScanFailed, match="could not connect"):
        tls.parse_sslyze("", "audit6.coursehub.test:443: ERROR: could not connect\n")


def test_mozillas_recommendation_is_in_the_repository() -> None:
    wanted = json.loads(tls.MOZILLA.read_text("utf-8"))
    assert wanted["tls_versions"] == ["TLSv1.2", "TLSv1.3"]
    assert "X25519MLKEM768" in wanted["tls_curves"]


def test_the_observatory_gives_a_score_and_what_took_points() -> None:
    measure = headers.parse("/hub/login", json.loads(text("observatory.json")))
    assert measure.value == 75
    assert [(one.id, one.detail) for one in measure.findings] == [
        ("content-security-policy", "csp-implemented-with-unsafe-inline (-20)"),
        ("cookies", "cookies-without-secure-flag-but-protected-by-hsts (-5)"),
    ]


def test_another_page_than_was_asked_is_no_figure() -> None:
    """Without a session the request is redirected to the login page, which has another score."""
    document = {**json.loads(text("observatory.json")), "where": "/hub/login?next=%2Fhub%2Fhome"}
    with pytest.raises(ScanFailed, match="the session did not count"):
        headers.parse("/hub/home", document, signed_in=True)


def test_lynis_points_become_findings_by_test_and_detail() -> None:
    measure = lynis.parse(text("lynis.log"))
    found = {one.id: (one.lost, one.possible) for one in measure.findings}
    assert found["KRNL-5820"] == (3, 5)
    assert found["FILE-6310:/home"] == (1, 10)
    assert found["AUTH-9262"] == (3, 3)
    assert found["FILE-6374:/dev/shm"] == (1, 5)
    # A test with all its points is no finding.
    assert "FILE-6374:/run" not in found
    # No points are lost between the lines.
    assert measure.score
    reached, possible = measure.score
    assert sum(lost for lost, _ in found.values()) == possible - reached


def test_a_log_without_points_is_no_figure() -> None:
    with pytest.raises(ScanFailed, match="no points"):
        lynis.parse("2026-11-29 10:54:46 Performing test ID KRNL-5820\n")


def test_openscap_counts_rules_that_apply() -> None:
    measure = openscap.parse("ANSSI minimal", (SCANS / "openscap.xml").read_bytes())
    assert measure.score
    passed, applying = measure.score
    assert (applying - passed) == len(measure.findings) > 0
    assert "accounts_passwords_pam_faillock_deny" in ids(measure)
    # Rules that do not apply to this system do not count on either side.
    assert applying < text("openscap.xml").count("<rule-result")


def test_openscap_that_checked_nothing_is_no_figure() -> None:
    nothing = '<TestResult xmlns="http://checklists.nist.gov/xccdf/1.2"/>'
    with pytest.raises(ScanFailed, match="checked no rule"):
        openscap.parse("ANSSI minimal", nothing.encode())


def test_each_service_is_held_against_its_own_limit() -> None:
    lines = {
        "jupyter-abello.service": 5.1,
        "jupyterhub.service": 3.0,
        "jupyterhub-proxy.service": 2.6,
        "coursehub-cert.service": 9.0,
        "nginx.service": 2.5,
        "ssh.service": 8.8,
        "dbus.service": 9.3,
    }
    said = "".join(f"→ Overall exposure level for {unit}: {level} MEDIUM :-|\n" for unit, level in lines.items())
    measure = units.parse(said)
    assert [(one.id, one.detail) for one in measure.findings] == [
        ("coursehub-cert.service", "9.0 of at most 2.5"),
        ("dbus.service", "9.3 of at most 9.0"),
        ("jupyter-abello.service", "5.1 of at most 5.0"),
        ("jupyterhub-proxy.service", "2.6 of at most 2.5"),
    ]


def test_without_a_students_service_there_is_no_figure() -> None:
    real = text("units.txt")
    assert units.parse(real).findings
    with pytest.raises(ScanFailed, match="did not see a student's server"):
        units.parse(re.sub(r"(?m)^.*jupyter-.*$", "", real))


@pytest.fixture(params=["127.0.0.1", "::1"])
def listening(request: pytest.FixtureRequest) -> Iterator[tuple[str, int, int]]:
    """An address, a port on it that accepts connections, and one that does not."""
    family = socket.AF_INET6 if ":" in request.param else socket.AF_INET
    try:
        open_one = socket.create_server((request.param, 0), family=family)
    except OSError:
        pytest.skip(f"{request.param} is no address of this computer")
    with open_one, socket.socket(family) as closed_one:
        closed_one.bind((request.param, 0))
        yield request.param, open_one.getsockname()[1], closed_one.getsockname()[1]


def test_a_port_that_takes_a_connection_is_open(listening: tuple[str, int, int]) -> None:
    address, opened, closed = listening
    assert ports.open_ports(address, [closed, opened], 2) == {opened}


def test_more_ports_than_files_may_be_open(listening: tuple[str, int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    address, opened, closed = listening
    monkeypatch.setattr(ports, "AT_ONCE", 3)
    assert ports.open_ports(address, [*[closed] * 10, opened, closed], 2) == {opened}


def test_a_port_that_says_nothing_ends_the_wait() -> None:
    """A full backlog does not answer a SYN, like a firewall."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        address = server.getsockname()
        fill = [socket.socket() for _ in range(4)]
        for one in fill:
            one.setblocking(False)
            one.connect_ex(address)
        began = time.monotonic()
        assert ports.open_ports("127.0.0.1", [address[1]], 0.3) == set()
        assert time.monotonic() - began < 20
        for one in fill:
            one.close()


def test_a_surplus_port_is_named_and_a_missing_one_seen() -> None:
    goal = GOALS["ports", "open by IPv4"]
    good = ports.result("IPv4", {443, 22, 80})
    assert good.value is not None
    assert goal.met(good.value)
    surplus = ports.result("IPv4", {22, 80, 443, 8000})
    assert ids(surplus) == ["port 8000"]
    for other in (surplus, ports.result("IPv4", {22, 443})):
        assert other.value is not None
        assert not goal.met(other.value)


JUNIT = """<testsuites><testsuite>
<testcase name="test_stopped"/><testcase name="test_left_out"><skipped message="no"/></testcase>
<testcase name="test_got_through"><failure message="AssertionError: she read it&#10;more">...</failure></testcase>
<testcase name="test_broke"><error message="fixture">...</error></testcase>
</testsuite></testsuites>"""


def test_an_attack_that_got_through_is_named() -> None:
    measure = attacks.parse(JUNIT.encode())
    assert [(one.id, one.detail) for one in measure.findings] == [
        ("test_got_through", "AssertionError: she read it"),
        ("test_broke", "fixture"),
    ]


def test_no_attack_is_no_success() -> None:
    with pytest.raises(ScanFailed, match="no attack was tried"):
        attacks.parse(b"<testsuites><testsuite/></testsuites>")


def test_each_waived_finding_of_lynis_has_the_parsers_form() -> None:
    """A waiver that no parser can match would be useless without anybody noticing."""
    rows = [row for row in Waivers.load(container=True).rows if row.scanner == "lynis"]
    assert all(re.fullmatch(r"[A-Z]+-\d{4}(:[\w./-]+)?", finding) for row in rows for finding in row.findings)


@pytest.mark.parametrize(
    "measures",
    [
        lambda: sshd.parse(json.loads(text("ssh-audit-default.json"))),
        lambda: tls.parse_testssl(json.loads(text("testssl.json"))),
        lambda: [tls.parse_sslyze(text("sslyze-good.txt"))],
        lambda: [lynis.parse(text("lynis.log"))],
        lambda: [openscap.parse(name, (SCANS / "openscap.xml").read_bytes()) for name in openscap.PROFILES],
        lambda: [ports.result("IPv6", {22})],
        lambda: [attacks.parse(JUNIT.encode())],
        lambda: [headers.parse(path, json.loads(text("observatory.json"))) for path in headers.PUBLIC],
        lambda: [units.parse(text("units.txt"))],
    ],
)
def test_each_figure_has_a_goal(measures: Callable[[], list[Measure]]) -> None:
    assert {(one.scanner, one.name) for one in measures()} <= set(GOALS)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (
            "npm error code ENOTFOUND\nnpm error network failed, reason: no such host\nnpm error log: x.log",
            "no such host",
        ),
        ("warning: slow\nerror: no version of sslyze fits", "no version of sslyze fits"),
        ("", "no reason given"),
    ],
)
def test_scanners_not_installed_says_why(said: str, reason: str) -> None:
    with pytest.raises(CoursehubError, match=f"could not be installed: .*{reason}; fix that and run the audit again"):
        tools._run(["sh", "-c", f"echo '{said}' >&2; exit 1"])
