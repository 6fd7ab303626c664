"""The decisions of coursehub-cert: which names, whether the CA is asked, and what is told."""

from __future__ import annotations

import dataclasses
import datetime
import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.cert import issue, within
from tests.support.serving import in_background

pytestmark = pytest.mark.unit
NOW = datetime.datetime(2026, 11, 22, tzinfo=datetime.UTC)
HERE = frozenset({"192.0.2.10", "2001:db8::10"})


@pytest.fixture
def cert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    return within(tmp_path, monkeypatch)


@pytest.fixture
def config(cert: SimpleNamespace, tmp_path: Path) -> Any:
    raw = {
        "names": ["hub.example.org", "www.hub.example.org"],
        "email": "p@example.org",
        "directory": "https://ca.example.org/dir",
        "addresses": sorted(HERE),
        "webroot": str(tmp_path / "www"),
        "live": str(tmp_path / "ssl" / "hub.example.org"),
        "reload": ["touch", str(tmp_path / "reloaded")],
        "dns_wait": 0,
        "challenge": "http",
        "open_dns": [],
        "close_dns": [],
    }
    cert.places.CONFIG.write_text(json.dumps(raw))
    return cert.config.Config.read(cert.places.CONFIG)


def zone(**names: str) -> Callable[[str], frozenset[str]]:
    """DNS with these names; dots are written as underscores."""
    known = {name.replace("_", "."): frozenset(addresses.split()) for name, addresses in names.items()}

    def resolve(name: str) -> frozenset[str]:
        return known.get(name, frozenset())

    return resolve


def test_names_count_only_if_all_their_addresses_are_ours(cert: SimpleNamespace) -> None:
    found = cert.names.look(
        ["a.x", "b.x", "c.x", "d.x"],
        HERE,
        zone(a_x="192.0.2.10 2001:db8::10", b_x="192.0.2.10 2001:db8::bad", c_x="198.51.100.1"),
    )
    assert found.here == ("a.x",)
    assert "2001:db8::bad" in found.elsewhere["b.x"]
    assert "198.51.100.1" in found.elsewhere["c.x"]
    assert found.elsewhere["d.x"] == "not in DNS"


def test_a_resolver_that_does_not_answer_leaves_names_out(cert: SimpleNamespace) -> None:
    def silent(_: str) -> frozenset[str]:
        raise OSError("DNS does not answer: Timeout")

    assert cert.names.look(["a.x"], HERE, silent) == cert.names.Dns((), {"a.x": "DNS does not answer: Timeout"})


@pytest.mark.parametrize(
    ("names", "days", "directory", "here", "reason", "asked"),
    [
        (None, 0, "", ("hub.example.org",), "no certificate", ("hub.example.org",)),
        (None, 0, "", (), "", ()),
        (["hub.example.org"], 80, "", ("hub.example.org",), "", ()),
        (["hub.example.org"], 80, "", (), "", ()),
        (["hub.example.org"], 80, "", ("hub.example.org", "www.hub.example.org"), "new in DNS: www", None),
        (["hub.example.org"], 80, "https://old/dir", ("hub.example.org",), "ACME server is now", ("hub.example.org",)),
        (["hub.example.org"], 20, "", ("hub.example.org",), "expires in 20 days", ("hub.example.org",)),
        # A name that left DNS stays until the certificate is due, and goes then.
        (["hub.example.org", "www.hub.example.org"], 80, "", ("hub.example.org",), "", ()),
        (["hub.example.org", "www.hub.example.org"], 20, "", ("hub.example.org",), "expires", ("hub.example.org",)),
    ],
)
def test_the_ca_is_asked_only_when_the_certificate_says_so(
    cert: SimpleNamespace,
    config: Any,
    names: list[str] | None,
    days: int,
    directory: str,
    here: tuple[str, ...],
    reason: str,
    asked: Any,
) -> None:
    on_disk = names and cert.certificate.Certificate(
        frozenset(names), NOW + datetime.timedelta(days=days), directory or config.directory
    )
    why, wanted = cert.deciding.reason_to_ask(config, on_disk or None, cert.names.Dns(here, {}), NOW)
    assert why.startswith(reason) if reason.startswith("new") else reason in why
    assert bool(why) == bool(reason)
    assert wanted == (here if asked is None else asked)


def test_reads_what_certbot_wrote(cert: SimpleNamespace, config: Any) -> None:
    assert cert.certificate.read_certificate(config) is None
    issue(cert, config, ["hub.example.org"])
    found = cert.certificate.read_certificate(config)
    assert found.names == {"hub.example.org"}
    assert found.directory == config.directory
    assert 89 < found.days_left(datetime.datetime.now(datetime.UTC)) <= 90
    (config.lineage / "fullchain.pem").write_text("not a certificate")
    assert cert.certificate.read_certificate(config) is None


def test_distances_between_tries_grow_and_a_rate_limit_waits_longest(cert: SimpleNamespace) -> None:
    tries = cert.tries.Tries()
    waits = []
    for number in range(6):
        tries.failed(number * 100_000.0, "connection refused")
        waits.append(tries.not_before - number * 100_000.0)
    assert waits == [300, 900, 3600, 21600, 43200, 43200]
    limited = cert.tries.Tries()
    limited.failed(0.0, "urn:ietf:params:acme:error:rateLimited :: too many certificates")
    assert limited.not_before >= 6 * 3600


def test_nobody_tries_more_than_three_times_an_hour(cert: SimpleNamespace) -> None:
    tries = cert.tries.Tries()
    assert tries.may_try(0.0, timer=True) == ""
    tries.failed(0.0, "down")
    assert "next try in 5 min" in tries.may_try(1.0, timer=True)
    assert tries.may_try(1.0, timer=False) == "", "a person may try sooner than the timer"
    tries.failed(1.0, "down")
    tries.failed(2.0, "down")
    assert "3 times within the hour" in tries.may_try(3.0, timer=False)
    assert tries.may_try(3700.0, timer=False) == ""


def test_link_is_switched_once_and_keys_go_with_it(cert: SimpleNamespace, config: Any, tmp_path: Path) -> None:
    holding = tmp_path / "holding"
    holding.mkdir()
    live = Path(config.live)
    live.parent.mkdir()
    live.symlink_to(holding)
    issue(cert, config, ["hub.example.org"])
    assert cert.serving.serve(config, changed=False) == (True, [])
    assert live.readlink() == config.lineage
    assert (tmp_path / "reloaded").exists()
    (tmp_path / "reloaded").unlink()
    assert cert.serving.serve(config, changed=False) == (False, [])
    assert not (tmp_path / "reloaded").exists(), "nothing new is no reason to reload"


def test_a_reload_that_failed_is_due_again(cert: SimpleNamespace, config: Any) -> None:
    issue(cert, config, ["hub.example.org"])
    broken = dataclasses.replace(config, reload=("false",))
    changed, trouble = cert.serving.serve(broken, changed=True)
    assert changed and "'false' failed" in trouble[0]
    assert cert.serving.reload_due(config)
    assert cert.serving.serve(config, changed=False) == (True, [])
    assert not cert.serving.reload_due(config)


def test_certbot_is_called_for_one_certificate_with_all_names(cert: SimpleNamespace, config: Any) -> None:
    argv = cert.authority.certbot_argv(config, config.names, force=False)
    assert argv[:3] == ["certbot", "certonly", "--non-interactive"]
    assert argv[argv.index("--cert-name") + 1] == "hub.example.org"
    assert argv[-4:] == ["--domain", "hub.example.org", "--domain", "www.hub.example.org"]
    assert "--force-renewal" not in argv
    nameless = cert.authority.certbot_argv(dataclasses.replace(config, email=""), config.names, force=True)
    assert "--register-unsafely-without-email" in nameless
    assert "--force-renewal" in nameless


def test_certbots_output_becomes_one_line(cert: SimpleNamespace) -> None:
    output = """Saving debug log to /var/log/letsencrypt/letsencrypt.log
Requesting a certificate for hub.example.org

Certbot failed to authenticate some domains (authenticator: webroot). The Certificate Authority reported these problems:
  Domain: hub.example.org
  Type:   unauthorized
  Detail: 192.0.2.10: Invalid response from http://hub.example.org/.well-known/acme-challenge/x: 404

Hint: The Certificate Authority failed to download the temporary challenge files created by Certbot.
Some challenges have failed.
Ask for help or search for solutions at https://community.letsencrypt.org.
"""
    told = cert.authority.explain(output)
    assert "Invalid response" in told and "\n" not in told
    crash = "Saving debug log to x\nAn unexpected error occurred:\nError creating new order :: too many certificates\n"
    assert cert.authority.explain(crash) == "Error creating new order :: too many certificates"


def test_port_80_is_tried_here_before_the_ca_is_asked(
    cert: SimpleNamespace, config: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Webroot(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = Path(config.webroot) / self.path.lstrip("/")
            self.send_response(200 if path.exists() else 404)
            self.end_headers()
            if path.exists():
                self.wfile.write(path.read_bytes())

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Webroot)
    in_background(server)
    real = cert.authority.http.client.HTTPConnection
    monkeypatch.setattr(
        cert.authority.http.client,
        "HTTPConnection",
        lambda host, _, timeout: real(host, server.server_port, timeout=timeout),
    )
    try:
        assert cert.authority.answers_here(config, "hub.example.org", frozenset({"127.0.0.1"})) == ""
        monkeypatch.setattr(Webroot, "do_GET", lambda self: self.send_error(404))
        assert "does not serve" in cert.authority.answers_here(config, "hub.example.org", frozenset({"127.0.0.1"}))
    finally:
        server.shutdown()
        server.server_close()
    assert "does not answer" in cert.authority.answers_here(config, "hub.example.org", frozenset({"127.0.0.1"}))
    assert list((Path(config.webroot) / ".well-known" / "acme-challenge").iterdir()) == []


def test_a_broken_configuration_is_one_line(cert: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    cert.places.CONFIG.write_text('{"names": ["a"]}')
    assert cert.main.main(["run"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def run(
    cert: SimpleNamespace, config: Any, monkeypatch: pytest.MonkeyPatch, names: dict[str, str], trouble: str = ""
) -> tuple[Any, list[Any]]:
    """One run with this DNS and a CA that issues, or says `trouble`."""
    asked: list[Any] = []

    def ask(config_: Any, wanted: Any, **_: Any) -> str:
        asked.append(tuple(wanted))
        if not trouble:
            issue(cert, config_, list(wanted))
        return trouble

    monkeypatch.setattr(cert.running, "look", lambda config_, _: cert.names.Dns(*_dns(config_.names, names)))
    monkeypatch.setattr(cert.authority, "ask_ca", ask)
    monkeypatch.setattr(cert.authority, "answers_here", lambda *_: "")
    return cert.running.run(config, timer=False, plan=False), asked


def _dns(wanted: Any, names: dict[str, str]) -> tuple[tuple[str, ...], dict[str, str]]:
    here = tuple(name for name in wanted if names.get(name) == "here")
    return here, {name: "not in DNS" for name in wanted if name not in here}


def test_a_life_of_a_certificate(cert: SimpleNamespace, config: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """No DNS; the first name; a CA that is down; the second name; then silence."""
    hub, www = config.names
    first, asked = run(cert, config, monkeypatch, {})
    assert not asked and not first.ok and not first.wanted
    assert any("self-signed" in line for line in first.warnings)

    second, asked = run(cert, config, monkeypatch, {hub: "here"})
    assert asked == [(hub,)] and second.changed and second.covered == [hub]
    assert second.warnings == [f"{www}: not in DNS; left out of the certificate"]

    third, asked = run(cert, config, monkeypatch, {hub: "here", www: "here"}, trouble="CA is down")
    assert asked == [(hub, www)] and not third.changed and third.covered == [hub]
    assert any("CA is down" in line for line in third.warnings)

    fourth, asked = run(cert, config, monkeypatch, {hub: "here", www: "here"})
    assert asked == [(hub, www)] and fourth.ok and fourth.changed and fourth.covered == [hub, www]

    def unasked(*_: Any) -> Any:
        raise AssertionError("a settled certificate needs neither DNS nor the CA")

    monkeypatch.setattr(cert.running, "look", unasked)
    monkeypatch.setattr(cert.authority, "ask_ca", unasked)
    fifth = cert.running.run(config, timer=True, plan=False)
    assert fifth.ok and not fifth.changed and not fifth.wanted


def test_a_plan_touches_nothing(
    cert: SimpleNamespace, config: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(cert.running, "look", lambda config_, _: cert.names.Dns(config_.names, {}))
    before = sorted(tmp_path.rglob("*"))
    planned = cert.running.run(config, timer=False, plan=True)
    assert planned.wanted and not planned.changed
    assert sorted(tmp_path.rglob("*")) == before


def test_an_account_that_the_ca_forgot_is_made_anew(
    cert: SimpleNamespace, config: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    account = cert.places.LETSENCRYPT / "accounts" / "ca.example.org" / "dir"
    account.mkdir(parents=True)
    certbot = tmp_path / "bin" / "certbot"
    certbot.parent.mkdir()
    certbot.write_text(
        f"#!/bin/sh\n[ ! -d {account} ] || "
        f"{{ echo 'urn:ietf:params:acme:error:accountDoesNotExist :: gone'; exit 1; }}\n"
    )
    certbot.chmod(0o755)
    monkeypatch.setenv("PATH", f"{certbot.parent}:/usr/bin:/bin")
    assert cert.authority.ask_ca(config, config.names, force=False) == ""
    assert not account.exists()
    account.mkdir()
    certbot.write_text("#!/bin/sh\necho 'urn:ietf:params:acme:error:accountDoesNotExist :: gone'; exit 1\n")
    assert "accountDoesNotExist" in cert.authority.ask_ca(config, config.names, force=False), (
        "it is tried anew once, not for ever"
    )


@pytest.fixture
def certbot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program to be written by the test, which is found instead of certbot."""
    program = tmp_path / "path" / "certbot"
    program.parent.mkdir()
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    return program


#: As certbot does: a name that is taken, by a broken certificate too, is not taken again.
LIKE_CERTBOT = """#!/bin/sh
cd {letsencrypt} && mkdir -p renewal live archive
name=hub.example.org
if [ -e renewal/$name.conf ] || [ -e live/$name ] || [ -e archive/$name ]; then name=$name-0001; fi
mkdir -p live/$name archive/$name
for kind in cert privkey chain fullchain; do echo new > live/$name/$kind.pem; done
echo '[renewalparams]' > renewal/$name.conf
"""


@pytest.mark.parametrize("killed", ["at once", "in the middle", "before the end", "links only"])
def test_a_certificate_that_a_kill_left_half_made_is_made_anew_under_its_name(
    cert: SimpleNamespace, config: Any, certbot: Path, killed: str
) -> None:
    (cert.places.LETSENCRYPT / "renewal").mkdir(parents=True)
    if killed in ("at once", "before the end"):
        (cert.places.LETSENCRYPT / "renewal" / "hub.example.org.conf").touch()
    if killed == "in the middle":
        (cert.places.LETSENCRYPT / "archive" / "hub.example.org").mkdir(parents=True)
    if killed == "before the end":
        issue(cert, config, ["hub.example.org"])
        (cert.places.LETSENCRYPT / "renewal" / "hub.example.org.conf").write_text("")
    if killed == "links only":
        config.lineage.mkdir(parents=True)
        (config.lineage / "cert.pem").symlink_to("../../archive/hub.example.org/cert1.pem")
    certbot.write_text(LIKE_CERTBOT.format(letsencrypt=cert.places.LETSENCRYPT))
    certbot.chmod(0o755)
    assert cert.certificate.half_made(config)
    assert cert.authority.ask_ca(config, config.names, force=False) == ""
    assert (config.lineage / "fullchain.pem").read_text() == "new\n"
    assert not (cert.places.LETSENCRYPT / "live" / "hub.example.org-0001").exists()


def test_what_is_half_made_stays_while_no_other_comes(cert: SimpleNamespace, config: Any, certbot: Path) -> None:
    issue(cert, config, ["hub.example.org"])
    (cert.places.LETSENCRYPT / "renewal" / "hub.example.org.conf").write_text("")
    before = (config.lineage / "fullchain.pem").read_text()
    certbot.write_text("#!/bin/sh\necho Error: the CA is down; exit 1\n")
    certbot.chmod(0o755)
    assert "the CA is down" in cert.authority.ask_ca(config, config.names, force=False)
    assert (config.lineage / "fullchain.pem").read_text() == before


def test_a_whole_certificate_stays_where_it_is(cert: SimpleNamespace, config: Any, certbot: Path) -> None:
    assert not cert.certificate.half_made(config)
    issue(cert, config, ["hub.example.org"])
    assert not cert.certificate.half_made(config)
    certbot.write_text("#!/bin/sh\nexit 0\n")
    certbot.chmod(0o755)
    inode = config.lineage.stat().st_ino
    assert cert.authority.ask_ca(config, config.names, force=True) == ""
    assert config.lineage.stat().st_ino == inode


LIMITED = (
    "An unexpected error occurred: too many certificates (5) already issued for this exact set of identifiers in the "
    "last 168h0m0s, retry after 2026-11-24 08:30:00 UTC: see https://letsencrypt.org/docs/rate-limits/"
)


def test_a_refusal_with_a_date_is_kept_and_told(cert: SimpleNamespace) -> None:
    """Five certificates a week for the same names: neither the timer nor a person asks before the CA says."""
    tries = cert.tries.Tries()
    now = NOW.timestamp()
    tries.failed(now, LIMITED)
    until = datetime.datetime(2026, 11, 24, 8, 30, tzinfo=datetime.UTC).timestamp()
    assert tries.limited_until == tries.not_before == until
    for timer in (True, False):
        assert tries.may_try(until - 60, timer) == "it takes no order before 24 November 08:30 UTC"
        assert tries.may_try(until + 60, timer) == ""
    assert "the CA takes the next order at 24 November 08:30 UTC" in tries.next_try(now)
    assert cert.tries.retry_after("too many certificates") == 0.0
    tries.failed(until + 60, "connection refused")
    assert "the timer tries again in" in tries.next_try(until + 60)


@pytest.mark.parametrize(("says", "waits"), [("DNS points it at 192.0.2.99, not here", 40), ("not in DNS", 10)])
def test_an_old_address_is_waited_for_until_forgotten(
    cert: SimpleNamespace, config: Any, monkeypatch: pytest.MonkeyPatch, says: str, waits: int
) -> None:
    """A server made anew within the TTL: the CA remembers the old address, too."""
    clock = [0.0]
    monkeypatch.setattr(cert.running.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(cert.running.time, "sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds))
    nowhere = cert.names.Dns((), dict.fromkeys(config.names, says))
    monkeypatch.setattr(cert.running, "look", lambda *_: nowhere)
    patient = dataclasses.replace(config, dns_wait=10, ttl_wait=40)
    assert cert.running.wait_for_dns(patient, HERE, patient.dns_wait) == nowhere
    assert waits - 1 <= clock[0] <= waits + 3
    clock[0] = 0.0
    cert.running.wait_for_dns(patient, HERE, 0)
    assert clock[0] == 0.0
