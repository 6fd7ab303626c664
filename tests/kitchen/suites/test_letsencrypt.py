"""A certificate from a real ACME server, and what happens to it afterwards."""

from __future__ import annotations

import itertools
import json
import os
import socket
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from testinfra.host import Host

from tests.kitchen.suites import outside

NAME = f"certificate.{os.environ['KITCHEN_PLATFORM']}.{os.environ.get('KITCHEN_ZONE', 'coursehub.test')}"
LIVE = "/etc/ssl/coursehub/kitchen"


@pytest.fixture(scope="module")
def certificate(host: Host) -> x509.Certificate:
    return x509.load_pem_x509_certificate(host.check_output("cat %s/fullchain.pem", LIVE).encode())


def test_the_certificate_is_for_the_name_and_from_the_authority(
    certificate: x509.Certificate, ca_bundle: Path | None, host: Host
) -> None:
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [NAME]
    assert certificate.issuer != certificate.subject
    if ca_bundle is None:
        return
    served = x509.load_pem_x509_certificates(host.check_output("cat %s/fullchain.pem", LIVE).encode())
    roots = x509.load_pem_x509_certificates(ca_bundle.read_bytes())
    for signed, signer in itertools.pairwise(served):
        signed.verify_directly_issued_by(signer)
    assert any(_signed_by(served[-1], root) for root in roots)


def _signed_by(certificate: x509.Certificate, root: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(root)
    except Exception:
        return False
    return True


def test_the_key_belongs_to_it_and_is_roots_alone(host: Host) -> None:
    public = host.check_output("openssl x509 -in %s/fullchain.pem -noout -pubkey", LIVE)
    assert host.check_output("openssl pkey -in %s/privkey.pem -pubout", LIVE) == public
    assert host.run("runuser -u nobody -- cat %s/privkey.pem", LIVE).rc != 0


def test_a_run_by_hand_leaves_the_authority_alone(host: Host, certificate: x509.Certificate) -> None:
    outcome = json.loads(host.check_output("/usr/local/sbin/coursehub-cert run").splitlines()[-1])
    assert (outcome["ok"], outcome["changed"], outcome["covered"]) == (True, False, [NAME])
    again = x509.load_pem_x509_certificate(host.check_output("cat %s/fullchain.pem", LIVE).encode())
    assert again.serial_number == certificate.serial_number


def test_certbot_renews_it(host: Host, certificate: x509.Certificate) -> None:
    """The timer's renewal, run early; the link then points to the new certificate."""
    host.check_output(
        "REQUESTS_CA_BUNDLE=/etc/ssl/certs/ca-certificates.crt "
        "certbot renew --quiet --force-renewal --no-random-sleep-on-renew"
    )
    renewed = x509.load_pem_x509_certificate(host.check_output("cat %s/fullchain.pem", LIVE).encode())
    assert renewed.serial_number != certificate.serial_number
    assert renewed.issuer.rfc4514_string()


def test_timers_look_after_it(host: Host) -> None:
    for timer in ("certbot.timer", "coursehub-cert.timer"):
        assert host.service(timer).is_enabled, timer
        assert host.service(timer).is_running, timer


def test_nginx_serves_it(address: str, ca_bundle: Path | None, certificate: x509.Certificate) -> None:
    """In place of the earlier one, and only for this name."""
    tls = outside.trusting(ca_bundle) if ca_bundle else ssl.create_default_context()
    with (
        socket.create_connection((address, 443), outside.SECONDS) as raw,
        tls.wrap_socket(raw, server_hostname=NAME) as served,
    ):
        got = x509.load_der_x509_certificate(served.getpeercert(binary_form=True) or b"")
    assert got.issuer == certificate.issuer
    with (
        pytest.raises((ssl.SSLError, ConnectionError)),
        socket.create_connection((address, 443), outside.SECONDS) as raw,
    ):
        tls.wrap_socket(raw, server_hostname="stranger.example.test")
