"""Services beside the local cloud's machines: the certificate authority and the metadata service."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
import threading
import time
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from starlette.applications import Starlette

from runner.local import metadata, pebble
from runner.local.https import make_https_certificate
from tests.support.local_api import served
from tests.support.programs import Programs

pytestmark = pytest.mark.unit


def test_pebbles_https_certificate_is_verified_strictly(tmp_path: Path) -> None:
    make_https_certificate(tmp_path, "10.101.7.1")
    ca = x509.load_pem_x509_certificate((tmp_path / "acme-ca.pem").read_bytes())
    leaf = x509.load_pem_x509_certificate((tmp_path / "https.pem").read_bytes())
    leaf.verify_directly_issued_by(ca)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert ipaddress.ip_address("10.101.7.1") in names.get_values_for_type(x509.IPAddress)
    assert (tmp_path / "https.key").stat().st_mode & 0o777 == 0o600
    context = ssl.create_default_context(cafile=str(tmp_path / "acme-ca.pem"))
    assert int(context.get_ca_certs()[0]["serialNumber"], 16) == ca.serial_number
    kept = (tmp_path / "https.pem").read_bytes()
    make_https_certificate(tmp_path, "10.101.7.1")
    assert (tmp_path / "https.pem").read_bytes() == kept


def test_pebble_without_its_certificate_is_not_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its directory, which somebody has deleted, is not created again either."""
    monkeypatch.setattr(pebble, "WATCH_SECONDS", 0.01)
    said: list[str] = []
    keeper = pebble.Pebble(tmp_path / "pebble", "127.0.0.1", said.append)
    watch = threading.Thread(target=keeper._watch)
    watch.start()
    time.sleep(0.5)
    keeper.close()
    watch.join()
    assert 1 <= len(said) <= 6
    assert "https.pem is gone" in said[0]
    assert not list(tmp_path.iterdir())


def test_pebble_that_ends_at_once_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Programs.install(tmp_path / "bin", monkeypatch).add("pebble", "exit 1")
    make_https_certificate(tmp_path, "127.0.0.1")
    began = time.monotonic()
    with pytest.raises(OSError, match="refused"):
        pebble.Pebble(tmp_path, "127.0.0.1", print)._ensure()
    assert time.monotonic() - began < pebble.START_SECONDS / 2


class From:
    """GET requests from a certain address."""

    def __init__(self, app: Starlette, address: str) -> None:
        self._transport = httpx.ASGITransport(app=app, client=(address, 1234))

    def get(self, path: str) -> httpx.Response:
        async def ask() -> httpx.Response:
            async with httpx.AsyncClient(transport=self._transport, base_url="http://169.254.169.254") as client:
                return await client.get(path)

        return asyncio.run(ask())


def test_a_machine_learns_about_itself_only(tmp_path: Path) -> None:
    with served(tmp_path) as api:
        order = {
            "name": "hub",
            "size": "s-1vcpu-1gb",
            "image": "debian-13-x64",
            "user_data": "#cloud-config\n",
            "tags": ["t"],
        }
        api.ok("POST", "droplets", order)
        address = api.ok("GET", "droplets")["droplets"][0]["networks"]["v4"][0]["ip_address"]
        app = metadata.make_app(api.cloud)
        machine = From(app, address)
        assert machine.get("/metadata/v1/user-data").text == "#cloud-config\n"
        assert machine.get("/metadata/v1/hostname").text == "hub"
        assert machine.get("/metadata/v1/interfaces/public/0/ipv4/address").text == address
        assert machine.get("/metadata/v1.json").json()["droplet_id"] == api.ok("GET", "droplets")["droplets"][0]["id"]
        assert "user-data" in machine.get("/metadata/v1/").text
        assert machine.get("/metadata/v1/nothing").status_code == 404
        stranger = From(app, "10.9.9.9")
        for path in ("v1/", "v1/user-data", "v1.json", "v1/interfaces/public/0/ipv4/address"):
            assert stranger.get(f"/metadata/{path}").status_code == 404
