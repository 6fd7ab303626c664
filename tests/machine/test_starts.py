"""A student's failed server starts again at once, whatever ended it (faults 32 and 33)."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from runner.hub.client import HubClient, HubFailure
from tests.machine.test_hub import STUDENT, until
from tests.support.hub import Hub

pytestmark = [pytest.mark.machine, pytest.mark.timeout(900)]

UNIT = f"jupyter-{STUDENT}"
#: Ways to end a server, in turn: a signal to its process, to all its processes, and one that looks like a crash.
ENDS = {
    "killed": f"kill -KILL $(systemctl show -p MainPID --value {UNIT})",
    "all killed": f"systemctl kill --signal=KILL {UNIT}",
    "crashed": f"kill -SEGV $(systemctl show -p MainPID --value {UNIT})",
}
#: `COURSEHUB_ROUNDS=30` for all of fault 32.
ROUNDS = int(os.environ.get("COURSEHUB_ROUNDS", "10"))
#: Seconds. A hanging start took 180.
AT_ONCE = 60
#: Another student, who comes when the class's memory is used up, and seconds until the page says so.
LATE, SOON = "cdubois", 30
#: Of the class: room for one server and its kernel (formula jupyterhub, start_memory).
ONE_SERVER = "200M"
#: Lines for the hub's configuration: half an hour is five seconds, and the second look comes after three.
MAKES_ROOM_SOON = "c.ClassSpawner.makes_room_after = 5; import class_inside.idle; class_inside.idle.SETTLE = 3"
DROP_IN = f"/run/systemd/system/{UNIT}.service.d"


@pytest.fixture
def client(hub: Hub) -> Iterator[HubClient]:
    with hub.sandbox.client(hub.document, STUDENT) as made:
        yield made
        made.stop_server()


def started(client: HubClient) -> bool:
    client.start_server()
    return True


def test_a_server_that_was_killed_starts_again(hub: Hub, client: HubClient) -> None:
    took = [until("the first start", lambda: started(client), AT_ONCE)]
    ways = list(ENDS)
    for number in range(ROUNDS):
        way = ways[number % len(ways)]
        hub.run(ENDS[way])
        took.append(until(f"start {number + 1}, after {way}", lambda: started(client), AT_ONCE))
    print(f"{ROUNDS} starts after a failure, the slowest within {max(took):.1f} s: {[round(one, 1) for one in took]}")
    assert hub.run(f"systemctl list-units --all --failed --no-legend --plain '{UNIT}*'") == ""


def test_failed_start_is_reported_and_the_next_one_works(hub: Hub, client: HubClient) -> None:
    """The unit dies before it runs; nobody waits for the time-out."""
    client.stop_server()
    hub.run(
        f"mkdir -p {DROP_IN}; printf '[Service]\\nExecStartPre=/bin/false\\n' > {DROP_IN}/fail.conf; "
        "systemctl daemon-reload"
    )
    try:
        began = time.monotonic()
        with pytest.raises(HubFailure, match=r"did not start|would not start"):
            client.start_server()
        assert time.monotonic() - began < AT_ONCE
    finally:
        hub.run(f"rm -r {DROP_IN}; systemctl daemon-reload")
    until("the next start", lambda: started(client), AT_ONCE)


def test_home_that_its_owner_closed_is_opened(hub: Hub, client: HubClient) -> None:
    """`chmod 000 ~` in a terminal: the next start gives the owner their own rights back, and no one else any."""
    home = f"/home/{STUDENT}"
    client.stop_server()
    hub.run(f"chmod 000 {home}")
    try:
        until("a start in a closed home", lambda: started(client), AT_ONCE)
        assert hub.run(f"stat -c %a {home}").strip() == "700"
    finally:
        hub.run(f"chmod 700 {home}")


def test_start_without_memory_waits_and_is_told_its_place(hub: Hub, client: HubClient) -> None:
    """Nobody at work is killed for it, and it goes on by itself when somebody leaves (fault 36)."""
    hub.run("systemctl stop 'jupyter-*.service'")
    client.stop_server()
    hub.run(f"systemctl set-property --runtime class.slice MemoryMax={ONE_SERVER}")
    try:
        until("the first start", lambda: started(client), AT_ONCE)
        with hub.sandbox.client(hub.document, LATE) as late:
            late.get("/hub/spawn")
            said = f"/hub/api/users/{LATE}/server/progress"
            with late.get(said, stream=True, timeout=SOON, headers={"Referer": f"{late.base}/hub/"}) as news:
                told = next(line for line in news.iter_lines(decode_unicode=True) if "memory" in (line or ""))
            assert (
                "All of the server's memory is in use. Your server starts when somebody leaves; you are next." in told
            )
            with client.kernel() as kernel:
                assert kernel.run("print(6 * 7)") == "42"
            client.stop_server()
            until("the late start", lambda: started(late), AT_ONCE)
            late.stop_server()
    finally:
        hub.run("rm -rf /run/systemd/system.control/class.slice.d; systemctl daemon-reload")


def test_unused_server_makes_room_for_who_waits(hub: Hub, client: HubClient) -> None:
    """Its owner reads why."""
    config = "/etc/jupyterhub/jupyterhub_config.py"
    hub.run("systemctl stop 'jupyter-*.service'")
    client.stop_server()
    hub.run(
        f"cp -p {config} /root/config.kept; echo '{MAKES_ROOM_SOON}' >> {config}\n"
        f"systemctl restart jupyterhub; systemctl set-property --runtime class.slice MemoryMax={ONE_SERVER}"
    )
    try:
        until("the first start", lambda: started(client), AT_ONCE)
        with hub.sandbox.client(hub.document, LATE) as late:
            until("the late start", lambda: started(late), AT_ONCE)
            assert "others needed the memory" in client.get(f"/hub/user/{STUDENT}/lab").text
            late.stop_server()
    finally:
        hub.run(
            f"mv /root/config.kept {config}; rm -rf /run/systemd/system.control/class.slice.d\n"
            "systemctl daemon-reload; systemctl restart jupyterhub"
        )
