"""The certificate for all names of a hub when it is due: certbot's timer renews it by DNS, or says why not."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
from collections.abc import Iterator

import pytest
import requests
from cryptography import x509

from runner import local
from tests.machine.test_hub import until
from tests.support.hub import Hub
from tests.support.visiting import visits

pytestmark = [pytest.mark.machine, pytest.mark.timeout(600)]

#: Whether DNS questions are allowed in, and whether something would answer them.
OPEN = "nft list set inet coursehub open_for_a_while | grep elements; ss -Hlnu 'sport = 53' | grep -v 127.0.0.5; true"
#: Replaces the certificate by one with the same names and 9 days left; links point to the files.
DUE = """
set -e
cd /etc/letsencrypt/live/{name}
mkdir -m 0700 /root/kept
for one in cert chain fullchain privkey; do cp "$(readlink -f $one.pem)" /root/kept/$one.pem; done
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 9 -subj /CN={name} \
    -addext 'subjectAltName=DNS:{name},DNS:*.{name}' -keyout privkey.pem -out fullchain.pem 2>/dev/null
cp fullchain.pem "$(readlink -f cert.pem)"; cp fullchain.pem "$(readlink -f chain.pem)"
"""
KEPT = """
cd /etc/letsencrypt/live/{name}
for one in cert chain fullchain privkey; do cp /root/kept/$one.pem "$(readlink -f $one.pem)"; done
rm -r /root/kept
"""


@pytest.fixture
def name(hub: Hub) -> str:
    """The name of a hub whose certificate comes by DNS."""
    if not visits(hub):
        pytest.skip("this hub has isolation: paths; its certificate comes by HTTP, which tests/kitchen renews")
    return str(hub.document["hostname"])


@pytest.fixture
def due(hub: Hub, name: str) -> Iterator[x509.Certificate]:
    """The certificate that is due, which nginx uses too."""
    hub.run(DUE.format(name=name))
    try:
        hub.run("systemctl reload nginx")
        yield x509.load_pem_x509_certificate(hub.run(f"cat /etc/letsencrypt/live/{name}/cert.pem").encode())
    finally:
        # Only if it was not renewed: a new certificate has its own files.
        hub.run(KEPT.format(name=name) if days_left(hub, name) < 10 else "rm -r /root/kept")
        hub.run(
            "rm -f /var/lib/coursehub/cert/tries.json; systemctl reload nginx; systemctl start coursehub-cert\n"
            "systemctl reset-failed certbot || true"
        )


def served(hub: Hub, name: str) -> x509.Certificate:
    """The certificate that browsers get, whoever signed it; nobody trusts the one that is due."""
    context = ssl._create_unverified_context()
    with (
        socket.create_connection((hub.document["server"]["ip"], 443), 20) as raw,
        context.wrap_socket(raw, server_hostname=name) as tls,
    ):
        return x509.load_der_x509_certificate(tls.getpeercert(binary_form=True) or b"")


def days_left(hub: Hub, name: str) -> int:
    seconds = f'$(( $(date -d "$(openssl x509 -noout -enddate -in {name} | cut -d= -f2)" +%s) - $(date +%s) ))'
    return int(hub.run(f"cd /etc/letsencrypt/live/{name}; echo {seconds.replace(name, 'cert.pem')}")) // 86400


@contextlib.contextmanager
def delegated(hub: Hub, name: str, to: str | None) -> Iterator[None]:
    """For the duration of the block the challenge's NS record points elsewhere, or is missing."""
    cloud = local.find(hub.sandbox.project.state)
    assert cloud is not None
    account = requests.Session()
    account.headers["Authorization"] = f"Bearer {cloud.token}"
    zones = account.get(f"{cloud.endpoint}domains", timeout=20).json()["domains"]
    zone = next(one["name"] for one in zones if name.endswith(one["name"]))
    records = f"{cloud.endpoint}domains/{zone}/records"
    known = account.get(f"{records}?per_page=200", timeout=20).json()["domain_records"]
    # The zone may have the records of other hubs too.
    ours = f"_acme-challenge.{name}".removesuffix(f".{zone}")
    old = next(one for one in known if one["type"] == "NS" and one["name"] == ours)

    def put(data: str) -> int:
        # The API lists names without the final dot and accepts them only with it.
        wanted = {key: old[key] for key in ("type", "name", "ttl")} | {"data": f"{data.rstrip('.')}."}
        made = account.post(records, json=wanted, timeout=20)
        assert made.status_code == 201, made.text
        return int(made.json()["domain_record"]["id"])

    account.delete(f"{records}/{old['id']}", timeout=20).raise_for_status()
    wrong = put(to) if to else None
    try:
        yield
    finally:
        if wrong:
            account.delete(f"{records}/{wrong}", timeout=20).raise_for_status()
        put(old["data"])


def test_certificate_for_all_names_renews_by_the_timer(hub: Hub, name: str, due: x509.Certificate) -> None:
    hub.run("systemctl start certbot.service", 300)
    until("nginx has another certificate", lambda: served(hub, name) != due, 30)
    new = served(hub, name)
    assert new.serial_number != due.serial_number
    names = new.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert set(names.get_values_for_type(x509.DNSName)) == {name, f"*.{name}"}
    assert days_left(hub, name) > 30
    assert hub.run(OPEN) == ""


@pytest.mark.parametrize("to", [None, "ns.elsewhere.example."])
def test_certificate_is_kept_where_the_delegation_is_wrong(
    hub: Hub, name: str, due: x509.Certificate, to: str | None
) -> None:
    files = f"cd /etc/letsencrypt/live/{name}; readlink -f *.pem; sha256sum *.pem"
    before = hub.run(files)
    with delegated(hub, name, to):
        assert hub.run("systemctl start certbot.service 2>/dev/null || echo failed", 300).strip() == "failed"
        # The service that reports: each run writes what `coursehub status` and `check` read.
        hub.run("systemctl start coursehub-cert.service", 300)
        told = json.loads(hub.run("cat /var/lib/coursehub/cert/status.json"))
    assert not told["ok"]
    assert f"check the NS record _acme-challenge.{name}, which has to say {name}" in " ".join(told["warnings"])
    assert served(hub, name) == due
    assert hub.run(files) == before
    assert hub.run(OPEN) == ""
