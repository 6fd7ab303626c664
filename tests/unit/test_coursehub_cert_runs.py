"""Runs of coursehub-cert: a certificate's life, interrupted runs, and the CA's refusals."""

from __future__ import annotations

import dataclasses
import datetime
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.cert import (
    HERE,
    NOW,
    cert,  # noqa: F401
    certbot,  # noqa: F401
    config,  # noqa: F401
    issue,
    run,
)

pytestmark = pytest.mark.unit


def test_a_life_of_a_certificate(cert: SimpleNamespace, config: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """No DNS; the first name; a CA that fails; the second name; then nothing to do."""
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


def test_account_that_the_ca_lost_is_made_again(
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
        "it is tried again once, not for ever"
    )


#: Like certbot: an existing name, even with a broken certificate, is not reused.
LIKE_CERTBOT = """#!/bin/sh
cd {letsencrypt} && mkdir -p renewal live archive
name=hub.example.org
if [ -e renewal/$name.conf ] || [ -e live/$name ] || [ -e archive/$name ]; then name=$name-0001; fi
mkdir -p live/$name archive/$name
for kind in cert privkey chain fullchain; do echo new > live/$name/$kind.pem; done
echo '[renewalparams]' > renewal/$name.conf
"""


@pytest.mark.parametrize("killed", ["at once", "in the middle", "before the end", "links only"])
def test_half_made_certificate_is_made_again_under_its_name(
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


@pytest.fixture
def pacific() -> Iterator[None]:
    """The server's clock shows the course's time, eight hours behind UTC."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "America/Los_Angeles")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("pacific")
def test_refusal_with_a_date_is_stored_and_reported(cert: SimpleNamespace) -> None:
    """Five certificates per week for the same names: neither the timer nor a person asks before the CA's date."""
    tries = cert.tries.Tries()
    now = NOW.timestamp()
    tries.failed(now, LIMITED)
    until = datetime.datetime(2026, 11, 24, 8, 30, tzinfo=datetime.UTC).timestamp()
    assert tries.limited_until == tries.not_before == until
    for timer in (True, False):
        assert tries.may_try(until - 60, timer) == "it takes no order before 24 November 00:30 PST"
        assert tries.may_try(until + 60, timer) == ""
    assert "the CA takes the next order at 24 November 00:30 PST" in tries.next_try(now)
    assert cert.tries.retry_after("too many certificates") == 0.0
    tries.failed(until + 60, "connection refused")
    assert "the timer tries again in" in tries.next_try(until + 60)


@pytest.mark.parametrize(("says", "waits"), [("DNS points it at 192.0.2.99, not here", 40), ("not in DNS", 10)])
def test_an_old_address_is_waited_for_until_forgotten(
    cert: SimpleNamespace, config: Any, monkeypatch: pytest.MonkeyPatch, says: str, waits: int
) -> None:
    """A server that was replaced within the TTL: the CA also remembers the old address."""
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
