"""`coursehub audit --quick` on a running hub: every scanner gives a figure, and the server is unchanged."""

from __future__ import annotations

import json

import pytest

from tests.support.hub import Hub

pytestmark = [pytest.mark.machine, pytest.mark.long, pytest.mark.timeout(900)]

#: Where a scanner could leave files on the server.
LEFT = "ls -A /root /tmp /var/tmp /var/log /etc/apt/sources.list.d; dpkg-query -W -f '${Package} '; id -u"


def test_audit_gives_figures_and_leaves_nothing(hub: Hub) -> None:
    # It installs restic some minutes after the hub is up, or at once if it is asked.
    hub.run("systemctl start coursehub-restic", seconds=300)
    before = hub.run(LEFT)
    done = hub.sandbox.run("audit", hub.course, "--quick", "--json")
    document = json.loads(done.stdout)
    assert document["silent"] == {}, document["silent"]
    figures = {(one["scanner"], one["name"]): one for one in document["figures"]}
    assert {scanner for scanner, _ in figures} == {"versions", "ssh-audit", "sslyze", "observatory", "units"}
    below = {" ".join(key): [find["id"] for find in one["findings"]] for key, one in figures.items() if not one["ok"]}
    # Headers and students' units have tests of their own.
    assert not [name for name in below if not name.startswith(("observatory", "units"))], below
    assert (done.returncode, document["ok"]) == ((1, False) if below else (0, True))
    assert hub.run(LEFT) == before


def test_audit_names_what_is_below_its_goal(hub: Hub) -> None:
    """Root starts a service without any wall for the test: the unit, its figure and the exit code show it."""
    hub.run("systemd-run --quiet --unit=coursehub-surplus -p Type=exec /usr/bin/sleep 600")
    try:
        done = hub.sandbox.run("audit", hub.course, "--only", "units", "--json")
        document = json.loads(done.stdout)
        assert document["silent"] == {}
        [figure] = document["figures"]
        assert "coursehub-surplus.service" in [unit["id"] for unit in figure["findings"]], figure
        assert not figure["ok"]
        assert done.returncode == 1
        assert "units above their goal is" in document["error"]
    finally:
        hub.run("systemctl stop coursehub-surplus")


def test_audit_refuses_a_scanner_that_there_is_not(hub: Hub) -> None:
    done = hub.sandbox.run("audit", hub.course, "--only", "nessus")
    assert done.returncode == 2
    assert "no scanner 'nessus'; there are: versions, ssh-audit" in done.stderr
