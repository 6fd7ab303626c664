"""A course's second server keeps the first one's certificate: nothing is ordered, and certbot renews it."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner import local
from tests.support.machine import Machine
from tests.support.rebuilt import SERIAL, Rebuilt
from tests.support.sandbox import Sandbox

pytestmark = [pytest.mark.machine, pytest.mark.long, pytest.mark.timeout(1200)]


def test_a_second_server_orders_no_certificate(sandbox: Sandbox, rebuilt: Rebuilt) -> None:
    assert rebuilt.orders == 0
    assert sandbox.on_server("carried", SERIAL.format(name=rebuilt.name)) == rebuilt.serial
    # The verb already checked it from outside. This checks everything again, including sign-in.
    assert sandbox.json("check", "carried")["ok"]


def test_certbot_renews_what_was_carried(sandbox: Sandbox, rebuilt: Rebuilt) -> None:
    """Renewal by certbot's own unit with the old account. It answers at the new server's address."""
    name, serial = rebuilt.name, rebuilt.serial
    machine = Machine.of(sandbox, "carried")
    machine.run(f"sed -i '1i renew_before_expiry = 5000 days' /etc/letsencrypt/renewal/{name}.conf")
    machine.run("systemctl start certbot.service", 300)
    assert machine.run(SERIAL.format(name=name)) != serial
    assert machine.ip in machine.run(f"cat /etc/letsencrypt/renewal/{name}.conf")
    assert len(machine.run("ls -d /etc/letsencrypt/accounts/*/*/*").split()) == 1
    assert sandbox.json("apply", "carried")["courses"]["carried"]["failed"] == 0


def test_kept_certificates_are_encrypted(sandbox: Sandbox, rebuilt: Rebuilt) -> None:
    del rebuilt
    kept = sandbox.project.state / "certificates"
    assert kept.stat().st_mode & 0o777 == 0o700
    assert sorted(path.name for path in kept.iterdir()) == ["carried.asc", "carried.json", "demo.asc", "demo.json"]
    for path in kept.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600
    key = sandbox.on_server("carried", "cat /etc/letsencrypt/live/*/privkey.pem").splitlines()[1]
    clear = [path for path in sandbox.root.rglob("*") if path.is_file() and holds(path, key)]
    assert clear == []
    assert local.find(sandbox.project.state) is not None


def holds(path: Path, text: str) -> bool:
    """Whether any file of the working copy contains a text."""
    if ".venv" in path.parts or path.stat().st_size > 50 * 1024**2:
        return False
    return text.encode() in path.read_bytes()
