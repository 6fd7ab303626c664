"""Laptops that are closed with all tabs open: nobody says goodbye, and yet no socket and no memory stays.

Run by `./coursehub test load -k laptops`; COURSEHUB_ROUNDS (20), about 25 minutes. Each round is a class of 24 with six
tabs, of which each has three sockets: for Lab's events, the kernel and the terminal. Then their packets are dropped in
both directions, for ever: not even an error comes back. The next class opens its laptops at once.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from runner.people.passwords import Passwords
from runner.rehearsal import crowd
from tests.load.test_class import keep
from tests.support.hub import Hub
from tests.support.sandbox import REPO

pytestmark = [pytest.mark.machine, pytest.mark.timeout(3600)]

ROUNDS = int(os.environ.get("COURSEHUB_ROUNDS", "20"))
PEOPLE, TABS, SOCKETS = 24, 6, 3
#: Seconds until a class has opened its tabs, and until nothing of the last one may be left: a ping after a minute, a
#: minute for its answer, and minutes in which the server's kernel still tries to say that the connection has ended.
OPENED, GONE = 600, 15 * 60
#: The first of the laptops' addresses: slots of the local cloud that its few machines do not reach.
FIRST = 200
#: Sockets that a program may have more than before: connections between hub, proxy and servers that come and go. Of a
#: browser's none may be left.
COME_AND_GO = {"tcp": 0, "nginx": 10, "proxy": 10, "hub": 10, "servers": 2 * PEOPLE, "running": 0}
#: MB that hub, proxy and nginx may have more than after a class that closed its tabs, in all; and a student's server.
#: 20 rounds open 8640 sockets, so a leak of 20 kB for each would be 170 MB, or 7 MB in each server.
MORE, MORE_EACH = 60, 5
#: Prints sockets: TCP ones with people's browsers in any state but the kernel's last remembering, and open files of the
#: programs that are sockets.
_LOOK = """
count() { n=0; for pid in "$@"; do n=$((n + $(ls -l /proc/$pid/fd 2> /dev/null | grep -c 'socket:'))); done; echo $n; }
main() { systemctl show -p MainPID --value "$@" | grep -v '^$' | grep -vx 0; }
units() { systemctl list-units --plain --no-legend --state=active 'jupyter-*.service' | cut -d ' ' -f 1; }
echo "{\\"tcp\\": $(ss -Htan '( sport = :443 )' | grep -cv -e '^LISTEN' -e '^TIME-WAIT')," \
     "\\"nginx\\": $(count $(pgrep -P $(main nginx))), \\"proxy\\": $(count $(main jupyterhub-proxy))," \
     "\\"hub\\": $(count $(main jupyterhub)), \\"servers\\": $(count $(main $(units)))," \
     "\\"running\\": $(units | wc -l)}"
"""


def look(hub: Hub) -> dict[str, int]:
    """Open sockets of each part, and how many servers run."""
    found: dict[str, int] = json.loads(hub.run(_LOOK))
    return found


def memory(hub: Hub) -> dict[str, float]:
    """MB (PSS) of hub, proxy and nginx, and of all students' servers without their kernels."""
    used = crowd.used(hub.run, "")
    parts = {name: float(used["parts"][name]["pss"]) for name in ("hub", "proxy", "nginx")}
    return {**parts, "servers": round(sum(one["server"]["pss"] for one in used["people"]), 1)}


@dataclass
class Laptops:
    """The network of everybody's laptops, in which addresses can fall silent."""

    hub: Hub
    namespace: str
    people: list[tuple[str, str]]

    def address(self, number: int) -> str:
        """The address of one round's laptops, which have it from now on."""
        made = f"{str(self.hub.document['server']['ip']).rpartition('.')[0]}.{FIRST + number}"
        subprocess.run(["ip", "-n", self.namespace, "addr", "add", f"{made}/32", "dev", "eth0"], check=True)
        return made

    @contextlib.contextmanager
    def opened(self, address: str) -> Iterator[Callable[[], None]]:
        """All tabs of all people; call what it yields to close them politely. Without that, they are killed."""
        child = subprocess.Popen(
            ["ip", "netns", "exec", self.namespace, sys.executable, "-m", "tests.support.tabs"],
            cwd=REPO,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            asked = {
                "domain": self.hub.document["hostname"],
                "ip": str(self.hub.document["server"]["ip"]),
                "bundle": self.hub.document["ca_bundle"],
                "subdomains": True,
                "address": address,
                "people": self.people,
                "tabs": TABS,
            }
            child.stdin.write(json.dumps(asked) + "\n")
            child.stdin.flush()
            told = json.loads(child.stdout.readline())
            assert told == {"open": len(self.people) * TABS * SOCKETS, "failed": {}}, told
            yield lambda: _politely(child)
        finally:
            child.kill()
            child.wait()
            child.stdin.close()
            child.stdout.close()

    def silence(self, address: str) -> None:
        """From now on nothing goes to this address, and nothing comes from it."""
        self.nft("add element inet closed laptops {", address, "}")

    def nft(self, *words: str) -> None:
        subprocess.run(["ip", "netns", "exec", self.namespace, "nft", " ".join(words)], check=True)


def _politely(child: subprocess.Popen[str]) -> None:
    child.communicate("\n", timeout=120)


@pytest.fixture
def laptops(hub: Hub) -> Iterator[Laptops]:
    known = Passwords(hub.sandbox.project, hub.course).read()
    listed = hub.run("getent group students | cut -d : -f 4").strip().split(",")
    people = [(one, known[one].clear) for one in sorted(set(listed) & set(known))[:PEOPLE]]
    assert len(people) == PEOPLE
    with hub.laptop() as namespace:
        made = Laptops(hub, namespace, people)
        made.nft("add table inet closed")
        made.nft("add set inet closed laptops { type ipv4_addr; }")
        for hook, end in (("input", "daddr"), ("output", "saddr")):
            made.nft(f"add chain inet closed {hook} {{ type filter hook {hook} priority -300; }}")
            made.nft(f"add rule inet closed {hook} ip {end} @laptops drop")
        try:
            yield made
        finally:
            hub.run("systemctl stop 'jupyter-*.service'")


def settled(hub: Hub, most: Callable[[dict[str, int]], bool], seconds: float) -> tuple[float, dict[str, int]]:
    """Look until ``most`` is true; return how long it took, and what was seen last."""
    began = time.monotonic()
    while True:
        seen = look(hub)
        if most(seen) or time.monotonic() - began > seconds:
            return time.monotonic() - began, seen
        time.sleep(5)


def test_closed_laptops_leave_no_socket_and_no_memory(hub: Hub, laptops: Laptops) -> None:
    with laptops.opened(laptops.address(0)) as close:
        everybody = look(hub)
        close()
    # What stays after a class that closed its tabs: connections of servers with the hub and with kernels.
    settled(hub, lambda seen: seen["tcp"] == 0, 180)
    time.sleep(30)
    before, weighed = look(hub), memory(hub)
    print(f"\nopen: {everybody}; closed politely: {before}, {weighed} MB", flush=True)
    assert before["running"] == PEOPLE
    assert everybody["tcp"] >= PEOPLE * TABS * SOCKETS, "the sockets are not seen"
    assert before["tcp"] == 0
    most = 0
    for number in range(1, ROUNDS + 1):
        began = time.monotonic()
        address = laptops.address(number)
        with laptops.opened(address):
            took = time.monotonic() - began
            seen = look(hub)
            most = max(most, seen["tcp"])
            # First: a process that is killed says goodbye.
            laptops.silence(address)
        print(f"round {number}: all open after {took:.0f} s; {seen}", flush=True)
    most_left = {one: before[one] + more for one, more in COME_AND_GO.items()}
    seconds, left = settled(hub, lambda seen: all(seen[one] <= most_left[one] for one in seen), GONE)
    weight = memory(hub)
    figures: dict[str, Any] = {
        "rounds": ROUNDS,
        "sockets opened": ROUNDS * PEOPLE * TABS * SOCKETS,
        "most connections at once": most,
        "seconds until all were gone": round(seconds),
        "sockets before": before,
        "sockets after": left,
        "megabytes before": weighed,
        "megabytes after": weight,
    }
    print(f"{figures}\n{keep('laptops', figures)}", flush=True)
    assert all(left[one] <= most_left[one] for one in left), f"sockets stay: {left}, before {before}"
    assert left["running"] == PEOPLE, "nobody's server ended"
    common = sum(weight[one] - weighed[one] for one in ("hub", "proxy", "nginx"))
    assert common <= MORE, f"hub, proxy and nginx have {common:.0f} MB more"
    assert weight["servers"] - weighed["servers"] <= MORE_EACH * PEOPLE
