"""A certificate that moves from one server to the next: it is complete, for exactly these names, and only data."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.cert import issue, within
from tests.support.cert_by_dns import NAMES, write

pytestmark = pytest.mark.unit
ACCOUNT = "0123456789abcdef0123456789abcdef"
DIRECTORY = "https://ca.example.org/dir"
#: certbot's plugin for each kind of challenge: a course with a domain for each student uses DNS, one without uses HTTP.
PLUGINS = {"dns": "dns-standalone", "http": "webroot"}


@pytest.fixture
def cert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    return within(tmp_path, monkeypatch)


@pytest.fixture
def config(cert: SimpleNamespace, tmp_path: Path) -> Any:
    write(cert, tmp_path)
    return cert.config.Config.read(cert.places.CONFIG)


def order(cert: SimpleNamespace, config: Any, **how: Any) -> None:
    """Files as certbot writes them after an order: lineage, renewal file, account."""
    issue(cert, config, how.pop("names", config.names), how=PLUGINS[config.challenge], **how)
    renewal = cert.certificate.renewal_file(config)
    renewal.write_text(f"{renewal.read_text()}account = {ACCOUNT}\npre_hook = /tmp/theirs\n")
    there = cert.places.LETSENCRYPT / "accounts/ca.example.org/dir" / ACCOUNT
    there.mkdir(parents=True)
    for name in cert.carrying.ACCOUNT_FILES:
        (there / name).write_text(f'{{"of": "{name}"}}')


def carried(cert: SimpleNamespace, config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **how: Any) -> str:
    """The output of ``give`` on an old server. Afterwards ``config``'s paths are those of a new server."""
    order(cert, config, **how)
    text = cert.carrying.give(config, "")
    monkeypatch.setattr(cert.places, "LETSENCRYPT", tmp_path / "new")
    (tmp_path / "new").mkdir()
    cert.places.write_atomically(cert.places.CARRIED, text)
    return str(text)


@pytest.mark.parametrize(("challenge", "names"), [("dns", NAMES), ("http", ("hub.example.org", "www.hub.example.org"))])
def test_next_server_has_the_same_certificate(
    cert: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, challenge: str, names: tuple[str, ...]
) -> None:
    write(cert, tmp_path, challenge=challenge, names=names)
    config = cert.config.Config.read(cert.places.CONFIG)
    text = carried(cert, config, tmp_path, monkeypatch)
    old = json.loads(text)["pems"]
    assert cert.carrying.take(config) == ""
    assert {kind: (config.lineage / f"{kind}.pem").read_text() for kind in old} == old
    assert not cert.certificate.half_made(config)
    found = cert.certificate.read_certificate(config)
    assert (found.names, found.directory, found.challenge) == (frozenset(names), DIRECTORY, challenge)
    here = SimpleNamespace(here=names, elsewhere={})
    assert cert.deciding.reason_to_ask(config, found, here, datetime.datetime.now(datetime.UTC)) == ("", ())
    assert not (cert.places.CARRIED).exists()
    key = cert.places.LETSENCRYPT / "archive" / names[0] / "privkey1.pem"
    assert key.stat().st_mode & 0o777 == 0o600
    assert (cert.places.LETSENCRYPT / "live").stat().st_mode & 0o777 == 0o700
    account = cert.places.LETSENCRYPT / "accounts/ca.example.org/dir" / ACCOUNT
    assert sorted(path.name for path in account.iterdir()) == sorted(cert.carrying.ACCOUNT_FILES)


def test_commands_of_the_old_server_are_not_carried(
    cert: SimpleNamespace, config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Certbot runs the hooks in its renewal file as root. An attacker on the old server may have changed them."""
    assert "theirs" not in carried(cert, config, tmp_path, monkeypatch)
    cert.carrying.take(config)
    renewal = cert.certificate.renewal_file(config).read_text()
    assert "theirs" not in renewal
    assert f"pre_hook = {cert.places.COMMAND} open" in renewal


@pytest.mark.parametrize(
    ("how", "changes", "why"),
    [
        ({"names": NAMES[:1]}, {}, "it is for hub.example.org"),
        ({"names": (*NAMES, "more.example.org")}, {}, "more.example.org"),
        ({"days": 29}, {}, "it is valid for only 29 more days"),
        ({}, {"directory": "https://staging.example.org/dir"}, f"it is from {DIRECTORY}"),
    ],
)
def test_another_certificate_is_not_used(
    cert: SimpleNamespace,
    config: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    how: dict[str, Any],
    changes: dict[str, Any],
    why: str,
) -> None:
    carried(cert, config, tmp_path, monkeypatch, **how)
    write(cert, tmp_path, **changes)
    config = cert.config.Config.read(cert.places.CONFIG)
    assert why in cert.carrying.take(config)
    assert not config.lineage.exists()
    assert not (cert.places.CARRIED).exists()


@pytest.mark.parametrize("spoil", ["pems", "files", "account", "key", "json"])
def test_a_spoiled_one_is_not_used(
    cert: SimpleNamespace, config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: str
) -> None:
    document = json.loads(carried(cert, config, tmp_path, monkeypatch))
    if spoil == "pems":
        del document["pems"]["chain"]
    elif spoil == "files":
        document["files"]["../../evil"] = "x"
    elif spoil == "account":
        document["account"] = "../../etc"
    elif spoil == "key":
        import trustme

        document["pems"]["privkey"] = trustme.CA().issue_cert("x.example.org").private_key_pem.bytes().decode()
    text = "{" if spoil == "json" else json.dumps(document)
    cert.places.write_atomically(cert.places.CARRIED, text)
    assert cert.carrying.take(config)
    assert not any(part.exists() for part in cert.certificate.parts(config))


def test_certbots_own_goes_before(
    cert: SimpleNamespace, config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    carried(cert, config, tmp_path, monkeypatch)
    issue(cert, config, NAMES, how="dns-standalone")
    before = (config.lineage / "cert.pem").read_text()
    assert cert.carrying.take(config) == ""
    assert (config.lineage / "cert.pem").read_text() == before


def test_what_is_known_is_not_given_again(cert: SimpleNamespace, config: Any) -> None:
    assert cert.carrying.give(config, "") == ""
    order(cert, config)
    given = json.loads(cert.carrying.give(config, ""))
    assert cert.carrying.give(config, given["fingerprint"]) == ""
    assert cert.carrying.give(config, "0" * 64)
