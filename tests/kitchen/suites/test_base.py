"""What every server has: its name, its clock, SSH access, trusted authorities."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from testinfra.host import Host

from runner.saltssh.pillar import host_ca_certificates
from tests.kitchen.suites.conftest import Shell


def test_name_and_time_zone(host: Host) -> None:
    assert host.check_output("hostname --fqdn") == "kitchen.example.test"
    assert host.check_output("hostname") == "kitchen"
    assert host.check_output("date -d 2026-07-01T12:00Z +%H:%M") == "05:00"


def test_sshd_refuses_passwords(fresh_ssh: Shell) -> None:
    refused = fresh_ssh("-o", "PubkeyAuthentication=no", "-o", "PreferredAuthentications=password,keyboard-interactive")
    assert refused.returncode == 255
    assert "(publickey)" in refused.stderr


def test_sshd_still_lets_the_runner_in(fresh_ssh: Shell, user: str) -> None:
    assert fresh_ssh(login=user).returncode == 0


@pytest.mark.parametrize(
    "offer",
    [
        ["Ciphers=aes128-cbc"],
        ["KexAlgorithms=diffie-hellman-group14-sha1"],
        # A cipher without built-in authentication, so that the MAC matters.
        ["Ciphers=aes128-ctr", "MACs=hmac-sha1"],
    ],
)
def test_sshd_refuses_old_algorithms(fresh_ssh: Shell, offer: list[str]) -> None:
    refused = fresh_ssh(*(part for option in offer for part in ("-o", option)))
    assert refused.returncode == 255
    assert "no matching" in refused.stderr.lower(), refused.stderr


def test_members_of_a_denied_group_get_no_shell(host: Host, fresh_ssh: Shell) -> None:
    """Even with an accepted key."""
    key = Path(os.environ.get("KITCHEN_SSH_KEY", Path.home() / ".ssh/id_ed25519"))
    public = key.with_name(f"{key.name}.pub").read_text().strip()
    host.check_output(
        "id -u kdenied >/dev/null 2>&1 || useradd -m -s /bin/sh -p '*' kdenied; install -d -m 700 -o kdenied "
        "-g kdenied /home/kdenied/.ssh; printf '%%s\\n' %s > /home/kdenied/.ssh/authorized_keys",
        public,
    )
    assert fresh_ssh(login="kdenied").returncode == 0
    host.check_output("usermod -aG games kdenied")
    assert fresh_ssh(login="kdenied").returncode == 255


def test_an_admin_has_sudo_without_a_password_that_nobody_has(host: Host) -> None:
    assert host.check_output("runuser -u kadmin -- sudo -n id -u") == "0"
    assert host.check_output("getent shadow kadmin").split(":")[1].startswith("!")


def test_it_trusts_the_authorities_of_its_pillar(host: Host) -> None:
    """Through the bundle that every program on the server reads, not the files that it was made from."""
    installed = host.check_output("ls /usr/local/share/ca-certificates/coursehub").split()
    if "KITCHEN_CA_BUNDLE" in os.environ:
        assert "kitchen-local-acme.crt" in installed
    for name in [*host_ca_certificates(), *installed]:
        file = f"/usr/local/share/ca-certificates/coursehub/{name.removesuffix('.crt')}.crt"
        assert host.run("openssl verify -CAfile /etc/ssl/certs/ca-certificates.crt -partial_chain %s", file).rc == 0


def test_a_dpkg_that_was_cut_off_is_repaired(host: Host) -> None:
    """An unpacked but unconfigured package, as a killed dpkg leaves it."""
    host.check_output("cd /var/tmp && apt-get -qq download hello && dpkg --unpack hello_*.deb")
    try:
        assert "hello" in host.check_output("dpkg --audit")
        host.check_output("/usr/local/sbin/coursehub-dpkg-repair 60")
        assert host.check_output("dpkg --audit") == ""
        assert host.check_output("dpkg-query -W -f '${Status}' hello") == "install ok installed"
    finally:
        host.run("dpkg --purge hello; rm -f /var/tmp/hello_*.deb")


def test_the_journal_is_bounded(host: Host) -> None:
    shown = host.check_output("systemd-analyze cat-config systemd/journald.conf")
    assert [line for line in shown.splitlines() if line.startswith("SystemMaxUse=")][-1] == "SystemMaxUse=500M"


def test_security_fixes_are_installed_at_night(host: Host) -> None:
    assert host.check_output("apt-config shell on APT::Periodic::Unattended-Upgrade") == "on='1'"
    assert host.service("apt-daily-upgrade.timer").is_enabled
