"""The firewall, tested by clients that it accepts and clients that it refuses."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from testinfra.host import Host

from tests.kitchen.suites import outside

OPEN, CLOSED = 8080, 8081


@pytest.fixture(scope="module")
def servers(host: Host) -> Iterator[None]:
    """Servers on both ports, so that silence comes from the firewall."""
    for port in (OPEN, CLOSED):
        host.check_output(f"systemd-run --quiet --collect --unit kitchen-{port} python3 -m http.server -d /srv {port}")
        host.check_output(
            f"for i in $(seq 100); do ss -Hltn sport = :{port} | grep -q . && exit; sleep 0.1; done; exit 1"
        )
    yield
    for port in (OPEN, CLOSED):
        host.run(f"systemctl stop kitchen-{port}")


@pytest.mark.usefixtures("servers")
def test_it_opens_what_pillar_names_and_nothing_else(host: Host, address: str) -> None:
    assert outside.until_answers(address, OPEN)
    assert not outside.answers(address, CLOSED)
    assert host.run(f"curl -fsS -o /dev/null http://127.0.0.1:{CLOSED}/").rc == 0


def test_ssh_stays_open(address: str) -> None:
    assert outside.answers(address, 22)


def test_students_cannot_reach_the_metadata_service(host: Host) -> None:
    """It gives the server's user-data to any process."""
    asked = "curl -sS -m 5 -o /dev/null http://169.254.169.254/"
    if host.run(asked).rc:
        pytest.skip("no metadata service here, not even for root")
    assert host.run(f"setpriv --reuid=65534 --clear-groups {asked}").rc == 7


def test_rules_return_after_a_reboot_and_a_flush_by_hand(host: Host, address: str) -> None:
    assert host.service("nftables").is_enabled
    host.check_output("nft flush ruleset")
    host.check_output("systemctl restart nftables")
    assert "table inet coursehub" in host.check_output("nft list tables")
    assert outside.answers(address, 22)
