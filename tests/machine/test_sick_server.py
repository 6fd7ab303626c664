"""A server that is not well, seen by ``status`` and by ``check``: full disk, dead unit, a hub that starts nothing.

Each command that a message suggests is run, and then both are green again.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from runner.hub.client import HubFailure
from tests.machine.test_hub import OTHER, STUDENT
from tests.support.hub import Hub

pytestmark = [pytest.mark.machine, pytest.mark.timeout(600)]

#: Makes /var a small, full file system. A full disk of the machine would be a full disk of the host.
FILL = """
mkdir -p /run/full && mount -t tmpfs -o size=40m full /run/full && mkdir /run/full/upper /run/full/work
mount -t overlay -o lowerdir=/var,upperdir=/run/full/upper,workdir=/run/full/work full /var
! cat /dev/zero > /var/filler 2>/dev/null
"""
EMPTY = "umount -l /var; umount -l /run/full; rmdir /run/full"
#: The program of each person's server.
PROGRAM = "/opt/course/bin/start-server"


@pytest.fixture(autouse=True)
def status_is_green_again(hub: Hub) -> Iterator[None]:
    yield
    (row,) = hub.sandbox.json("status", hub.course)["courses"]
    assert "error" not in row


def told(hub: Hub) -> tuple[str, str]:
    """The last lines of `status` and of `check`, which both fail."""
    status = hub.sandbox.json("status", hub.course, exit_code=1)
    (row,) = status["courses"]
    assert row["error"] == status["error"]
    check = hub.sandbox.json("check", hub.course, exit_code=1)
    assert not check["ok"]
    return status["error"], check["error"]


def apply(hub: Hub) -> set[str]:
    """Apply; the names of what was changed."""
    outcome = hub.sandbox.json("apply", hub.course)["courses"][hub.course]
    assert outcome["failed"] == 0, outcome
    return {change["name"] for change in outcome["changes"]}


def test_full_disk_is_seen(hub: Hub) -> None:
    hub.run(FILL)
    try:
        lines = told(hub)
    finally:
        hub.run(EMPTY)
    for line in lines:
        assert line.startswith(f"{hub.course}: the check 'disk' fails: /var is 100 % full, 0 MB are left;"), line
        assert f"'coursehub ssh {hub.course} du -xm -d2 /var | sort -n | tail' shows what fills it" in line


@pytest.mark.parametrize("unit", ["nginx", "jupyterhub"])
def test_dead_unit_is_seen_and_started_by_apply(hub: Hub, unit: str) -> None:
    """It is the cause that both name, although `check` finds sign-in and more failing."""
    hub.run(f"systemctl stop {unit}")
    try:
        lines = told(hub)
    finally:
        started = apply(hub)
    todo = f"'coursehub apply {hub.course}' starts it, or says why not"
    for line in lines:
        assert line == f"{hub.course}: the check 'units' fails: {unit} failed on the server; {todo}"
    assert hub.run(f"systemctl is-active {unit}").strip() == "active", started


def test_hub_that_starts_nothing_is_seen_and_restored(hub: Hub) -> None:
    """One person's failed start is no fault of the hub; two people's are, if nobody's worked since."""
    hub.run(f"mv {PROGRAM} {PROGRAM}.away")
    try:
        for account in (STUDENT, OTHER):
            with hub.sandbox.client(hub.document, account) as client:
                client.stop_server()
                with pytest.raises(HubFailure, match=f"would not start a server: .*{PROGRAM}"):
                    client.start_server()
        lines = told(hub)
    finally:
        restored = apply(hub)
        hub.run(f"rm -f {PROGRAM}.away")
    assert PROGRAM in restored
    for line in lines:
        assert line.startswith(f"{hub.course}: the check 'starts' fails: the last starts all failed, of "), line
        assert f"{PROGRAM}: No such file or directory" in line
        assert f"'coursehub apply {hub.course}' restores what is missing" in line
    # Until somebody's server starts again, the last starts are those that failed.
    looked = hub.sandbox.json("check", hub.course)
    assert looked["ok"], looked
