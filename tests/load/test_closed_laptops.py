"""Laptops that are closed with all tabs open: nobody says goodbye, and yet no socket and no memory stays.

Run by `./coursehub test load -k laptops`; COURSEHUB_ROUNDS (20), about 25 minutes. Each round is a class of 24 with six
tabs, of which each has three sockets: for Lab's events, the kernel and the terminal. Then their packets are dropped in
both directions, for ever: not even an error comes back. The next class opens its laptops at once.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from runner.people.passwords import Passwords
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
#: Prints {"sockets": {...}, "megabytes": {...}} of each part; arguments are the laptops' addresses, with commas, and
#: the units of the class's servers. Sockets are the open files of a program that are sockets, and "tcp" those of the
#: system with the laptops, in any state but the last remembering. Megabytes are PSS.
_LOOK = r"""
import json, os, re, subprocess, sys
from pathlib import Path

def said(*words):
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout.split()

def main(*units):
    return [pid for pid in said("systemctl", "show", "-p", "MainPID", "--value", *units) if pid != "0"]

def sockets(pids):
    found = 0
    for pid in pids:
        for one in Path("/proc", pid, "fd").iterdir():
            try:
                found += os.readlink(one).startswith("socket:")
            except FileNotFoundError:
                continue
    return found

def megabytes(pids):
    rolls = [Path("/proc", pid, "smaps_rollup").read_text() for pid in pids]
    return round(sum(int(re.search(r"^Pss: +(\d+)", roll, re.M)[1]) for roll in rolls) / 1024, 1)

parts = {
    "nginx": [pid for master in main("nginx") for pid in said("pgrep", "-P", master)],
    "proxy": main("jupyterhub-proxy"), "hub": main("jupyterhub"), "servers": main(*sys.argv[2:]),
}
ss = ["ss", "-Htan", "( sport = :443 )"]
states = subprocess.run(ss, capture_output=True, text=True, check=True).stdout.splitlines()
counted = {name: sockets(pids) for name, pids in parts.items()}
theirs = [f" {address}:" for address in sys.argv[1].split(",")]
known = [line for line in states if any(one in line for one in theirs)]
counted["tcp"] = sum(not line.startswith("TIME-WAIT") for line in known)
counted["running"] = len(parts["servers"])
print(json.dumps({"sockets": counted, "megabytes": {name: megabytes(pids) for name, pids in parts.items()}}))
"""


@dataclass
class Laptops:
    """The network of everybody's laptops, in which addresses can fall silent."""

    hub: Hub
    namespace: str
    people: list[tuple[str, str]]
    addresses: list[str] = field(default_factory=list)

    def address(self, number: int) -> str:
        """The address of one round's laptops, which have it from now on."""
        made = f"{str(self.hub.document['server']['ip']).rpartition('.')[0]}.{FIRST + number}"
        subprocess.run(["ip", "-n", self.namespace, "addr", "add", f"{made}/32", "dev", "eth0"], check=True)
        self.addresses.append(made)
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
                "patience": OPENED,
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

    def units(self) -> list[str]:
        """The systemd units of these people's servers."""
        return [f"jupyter-{account}.service" for account, _ in self.people]

    def look(self) -> tuple[dict[str, int], dict[str, float]]:
        """Open sockets of each part, how many servers run, and each part's megabytes."""
        words = ["python3", "-I", "-c", _LOOK, ",".join(self.addresses), *self.units()]
        found = json.loads(self.hub.run(shlex.join(words)))
        return found["sockets"], found["megabytes"]

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
            hub.run(shlex.join(["systemctl", "stop", *made.units()]))


def settled(laptops: Laptops, most: dict[str, int], seconds: float) -> float:
    """Look until there are no more sockets than ``most``, or the seconds are over; return how long it took."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        seen, _ = laptops.look()
        if all(seen[one] <= number for one, number in most.items()):
            break
        time.sleep(5)
    return time.monotonic() - began


def test_closed_laptops_leave_no_socket_and_no_memory(laptops: Laptops) -> None:
    with laptops.opened(laptops.address(0)) as close:
        everybody, _ = laptops.look()
        close()
    # What stays after a class that closed its tabs: connections of servers with the hub and with kernels.
    settled(laptops, {"tcp": 0}, 180)
    time.sleep(30)
    before, weighed = laptops.look()
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
            seen, _ = laptops.look()
            most = max(most, seen["tcp"])
            # First: a process that is killed says goodbye.
            laptops.silence(address)
        print(f"round {number}: all open after {took:.0f} s; {seen}", flush=True)
    most_left = {one: before[one] + more for one, more in COME_AND_GO.items()}
    seconds = settled(laptops, most_left, GONE)
    left, weight = laptops.look()
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
    assert all(left[one] <= number for one, number in most_left.items()), f"sockets stay: {left}, before {before}"
    assert left["running"] == PEOPLE, "nobody's server ended"
    common = sum(weight[one] - weighed[one] for one in ("hub", "proxy", "nginx"))
    assert common <= MORE, f"hub, proxy and nginx have {common:.0f} MB more"
    assert weight["servers"] - weighed["servers"] <= MORE_EACH * PEOPLE
