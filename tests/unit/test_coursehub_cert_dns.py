"""coursehub-cert with DNS challenges: certificates for all names below one."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from dnslib import A, DNSRecord

from runner.local import dns as name_server
from runner.local.store import Domain, Record
from tests.support.cert import issue, within
from tests.support.cert_by_dns import NAMES, OWN, write

pytestmark = pytest.mark.unit
RECORD = "check the NS record _acme-challenge.hub.example.org, which has to say hub.example.org"


@pytest.fixture
def cert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    return within(tmp_path, monkeypatch)


@pytest.fixture
def config(cert: SimpleNamespace, tmp_path: Path) -> Any:
    write(cert, tmp_path)
    return cert.config.Config.read(cert.places.CONFIG)


def answers(**known: str) -> Callable[[str], frozenset[str]]:
    """A resolver with these answers; underscores stand for dots."""
    table = {name.replace("_", ".").replace("..", "_"): frozenset(what.split()) for name, what in known.items()}
    return lambda name: table.get(name.removeprefix("_acme-challenge."), frozenset())


@pytest.mark.parametrize(
    ("servers", "addresses", "says"),
    [
        ("hub.example.org", "192.0.2.10", ""),
        ("", "192.0.2.10", "its challenges are not delegated to this server"),
        ("hub.example.org", "198.51.100.1", "delegated to hub.example.org at 198.51.100.1, not here"),
        ("hub.example.org", "", "delegated to hub.example.org, which has no address"),
    ],
)
def test_delegation_that_is_wrong_names_its_record(
    cert: SimpleNamespace, servers: str, addresses: str, says: str
) -> None:
    found = cert.delegation.look(NAMES, OWN, answers(hub_example_org=servers), answers(hub_example_org=addresses))
    if not says:
        assert found.here == NAMES
        assert not found.elsewhere
        return
    assert not found.here
    assert set(found.elsewhere) == set(NAMES), "one challenge stands for both names"
    assert all(says in why and why.endswith(RECORD) for why in found.elsewhere.values())


def test_name_servers_that_cannot_be_asked_stop_nothing(cert: SimpleNamespace) -> None:
    """Behind some firewalls only the school's resolvers answer; then the CA decides."""

    def silent(_: str) -> frozenset[str]:
        raise OSError("no answer")

    assert cert.delegation.look(NAMES, OWN, silent, answers()).here == NAMES


def test_name_server_that_is_not_found_names_its_record(cert: SimpleNamespace) -> None:
    def lost(_: str) -> frozenset[str]:
        raise OSError("DNS does not answer: Timeout")

    found = cert.delegation.look(NAMES, OWN, answers(hub_example_org="hub.example.org"), lost)
    assert found.here == ()
    why = "the name server of its challenges cannot be found (DNS does not answer: Timeout)"
    assert set(found.elsewhere.values()) == {f"{why}: {RECORD}"}


def test_a_wildcard_is_ordered_by_dns_with_the_port_open(
    cert: SimpleNamespace, config: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cert.doors, "interfaces", lambda: OWN)
    argv = cert.authority.certbot_argv(config, config.names, force=False)
    said = dict(itertools.pairwise(argv))
    assert said["--authenticator"] == "dns-standalone"
    assert said["--dns-standalone-address"] == "192.0.2.10"
    assert said["--pre-hook"] == "/usr/local/sbin/coursehub-cert open"
    assert said["--post-hook"] == "/usr/local/sbin/coursehub-cert close"
    assert argv[-4:] == ["--domain", NAMES[0], "--domain", NAMES[1]]
    monkeypatch.setattr(cert.doors, "interfaces", lambda: frozenset({"10.0.0.5"}))
    assert cert.doors.listening_address(config) == cert.doors.ANY, "a reserved address is on no interface"


def test_the_hooks_open_and_close_the_port(cert: SimpleNamespace, config: Any, tmp_path: Path) -> None:
    assert config.open_dns
    assert cert.main.main(["open"]) == 0
    assert (tmp_path / "open").exists()
    assert cert.main.main(["close"]) == 0
    assert not (tmp_path / "open").exists()


def test_a_port_that_does_not_open_is_said(
    cert: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(cert, tmp_path, open_dns=["sh", "-c", "echo no such table >&2; exit 1"])
    assert cert.main.main(["open"]) == 1
    assert "no such table" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "says"),
    [({"challenge": "http"}, "needs challenge dns"), ({"challenge": "tls"}, "challenge is http or dns, not tls")],
)
def test_a_configuration_that_cannot_work_is_refused(
    cert: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, str], says: str
) -> None:
    write(cert, tmp_path, **changes)
    assert cert.main.main(["run"]) == 2
    told = capsys.readouterr().err
    assert says in told
    assert told.count("\n") == 1


def test_change_of_isolation_orders_again_and_keeps_the_old(
    cert: SimpleNamespace, config: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From paths to subdomains: the certificate for two names is used until the one for all has arrived."""
    issue(cert, config, ("hub.example.org", "www.hub.example.org"))
    before = (config.lineage / "fullchain.pem").read_bytes()
    monkeypatch.setattr(cert.running, "look", lambda config_, _: cert.names.Dns(config_.names, {}))
    asked: list[Any] = []

    def refuse(_: Any, wanted: Any, force: bool) -> str:
        asked.append((wanted, force))
        return "Detail: DNS problem: SERVFAIL looking up TXT for _acme-challenge.hub.example.org"

    monkeypatch.setattr(cert.authority, "ask_ca", refuse)
    result = cert.running.run(config, timer=False, plan=False)
    assert asked == [(NAMES, True)]
    assert result.reason == "it would not be renewed by dns"
    assert not result.ok
    assert f"if it got no answer from us, {RECORD}; the timer tries again" in result.warnings[0]
    assert (config.lineage / "fullchain.pem").read_bytes() == before

    monkeypatch.setattr(
        cert.authority, "ask_ca", lambda *_, **__: issue(cert, config, NAMES, how="dns-standalone") or ""
    )
    result = cert.running.run(config, timer=False, plan=False)
    assert result.ok
    assert result.covered == list(NAMES)
    assert cert.running.settled(config)


def test_a_wrong_delegation_costs_no_try_at_the_ca(
    cert: SimpleNamespace, config: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cert.delegation, "name_servers", lambda _: frozenset())

    def unasked(*_: Any, **__: Any) -> str:
        raise AssertionError("the CA would count a failed validation")

    monkeypatch.setattr(cert.authority, "ask_ca", unasked)
    result = cert.running.run(config, timer=False, plan=False)
    assert not result.ok
    assert RECORD in result.warnings[0]


def test_a_certificate_that_cannot_be_renewed_says_so_in_time(
    cert: SimpleNamespace, config: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record was removed after the certificate was issued: it is still used, and the warning says what to check."""
    monkeypatch.setattr(cert.delegation, "name_servers", lambda _: frozenset())
    issue(cert, config, NAMES, how="dns-standalone", days=20)
    result = cert.running.run(config, timer=True, plan=False)
    assert not result.ok
    assert result.covered == list(NAMES)
    assert "days and cannot be renewed" in result.warnings[0]
    assert result.warnings[0].endswith(RECORD)


def test_our_name_server_passes_challenges_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Like the provider's: a recursive question goes to the delegated server, any other gets a referral."""
    records = [
        Record(id=1, type="A", name="hub", data="192.0.2.10"),
        Record(id=2, type="A", name="*.hub", data="192.0.2.10"),
        Record(id=3, type="NS", name="_acme-challenge.hub", data="hub.example.org"),
    ]
    domains = [Domain(name="example.org", records=records)]
    question = DNSRecord.question("_acme-challenge.hub.example.org", "TXT")
    sent: list[tuple[str, int]] = []

    def send(self: DNSRecord, server: str, port: int, **_: Any) -> bytes:
        sent.append((server, port))
        return bytes(self.reply().pack())

    monkeypatch.setattr(DNSRecord, "send", send)
    resolver = name_server.ZoneResolver(lambda: domains, "192.0.2.1")
    resolver.resolve(question, SimpleNamespace(protocol="udp"))
    assert sent == [("192.0.2.10", 53)]

    question.header.rd = 0
    reply = resolver.resolve(question, SimpleNamespace(protocol="udp"))
    assert not reply.rr
    assert not reply.header.aa
    assert [(str(one.rname), str(one.rdata)) for one in reply.auth] == [
        ("_acme-challenge.hub.example.org.", "hub.example.org.")
    ]
    assert [one.rdata for one in reply.ar] == [A("192.0.2.10")]
    assert len(sent) == 1


def test_a_server_that_delegates_to_itself_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    records = [
        Record(id=1, type="A", name="hub", data="192.0.2.1"),
        Record(id=2, type="NS", name="_acme-challenge.hub", data="hub.example.org"),
    ]
    monkeypatch.setattr(DNSRecord, "send", lambda *_, **__: pytest.fail("it asks itself"))
    resolver = name_server.ZoneResolver(lambda: [Domain(name="example.org", records=records)], "192.0.2.1")
    reply = resolver.resolve(
        DNSRecord.question("_acme-challenge.hub.example.org", "TXT"), SimpleNamespace(protocol="udp")
    )
    assert not reply.rr
