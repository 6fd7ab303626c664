"""coursehub-cert's decisions: which names count, when the CA is asked, and what is shown to nginx."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
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
)
from tests.support.serving import in_background

pytestmark = pytest.mark.unit


def zone(**names: str) -> Callable[[str], frozenset[str]]:
    """DNS with these names; underscores stand for dots."""
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
        # A name that left DNS is kept until the certificate is due and removed then.
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


def test_pauses_between_tries_grow_most_after_a_rate_limit(cert: SimpleNamespace) -> None:
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
