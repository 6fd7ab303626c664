"""A course whose server is deleted and made again: what its second server has of the first."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

from tests.support import odd_files
from tests.support.hub import Hub
from tests.support.sandbox import Sandbox

COURSE = "carried"
SERIAL = "openssl x509 -noout -serial -in /etc/letsencrypt/live/{name}/cert.pem"
#: With homes of odd files, one with a big file, one who leaves the class, and one who begins anew before the restore.
ODD, TEAMMATE, BIG, LEAVER, EAGER = "abello", "bcarter", "cdubois", "dflores", "esato"
#: A password that its owner chose.
CHOSEN = "a-word-of-my-own-77"
TREES = ("/home/abello", "/home/bcarter", "/home/cdubois", "/srv/class/shared", "/srv/class/groups/red")
_WORK = f"""
cd /srv/class/groups/red
runuser -u {ODD} -- sh -c 'mkdir -p plan/empty; echo plan > plan/one'
runuser -u {TEAMMATE} -- sh -c 'echo two > two; ln -s /etc/shadow link'
runuser -u rivera -- sh -c 'cd ../../shared; mkdir handouts; echo h > handouts/one'
runuser -u {BIG} -- sh -c 'head -c 50M /dev/urandom > ~/big'
runuser -u {LEAVER} -- sh -c 'echo left > ~/left'
runuser -u {EAGER} -- sh -c 'echo old > ~/work.txt'
echo '{ODD}:{CHOSEN}' | chpasswd
install -d -m 0700 /var/log/coursehub
echo first-server >> /var/log/coursehub/openings.log
"""


@dataclass(frozen=True)
class Rebuilt:
    """The course's name in DNS; of its first server the certificate's serial, and what was in homes and directories.

    ``orders`` are the certificates that were issued for the second server.
    """

    name: str
    serial: str
    orders: int
    down: dict[str, Any]
    """The document of ``down``."""
    before: dict[str, dict[str, Any]] = field(repr=False)
    hub: Hub = field(repr=False)
    """The second server, not restored yet."""


def rebuild(sandbox: Sandbox) -> Rebuilt:
    """Up, some work, down, up. In between one person joins, so that numbers change, and one leaves."""
    name = f"{COURSE}-{os.getpid()}.coursehub.test"
    sandbox.copy_course("demo", COURSE, **{sandbox.domain("demo"): name, "s-4vcpu-8gb": "s-2vcpu-4gb"})
    sandbox.lighten(COURSE)
    for person in ("Amara Bello", "Ben Carter"):
        sandbox.edit(COURSE, f"name: {person}}}", f"name: {person}, groups: [red]}}")
    first = Hub(COURSE, sandbox.json("up", COURSE), sandbox)
    serial = first.run(SERIAL.format(name=name))
    odd_files.make(first, ODD, other=TEAMMATE)
    odd_files.make(first, TEAMMATE, other=ODD)
    first.run(_WORK)
    before = odd_files.describe(first, *TREES)
    down = sandbox.json("down", COURSE, "--yes")
    sandbox.edit(COURSE, "      - {account: dflores, name: Diego Flores}\n", "      - {account: aaron, name: Aaron}\n")
    issued_before = issued(sandbox)
    second = Hub(COURSE, sandbox.json("up", COURSE), sandbox)
    return Rebuilt(name, serial, issued(sandbox) - issued_before, down, before, second)


def issued(sandbox: Sandbox) -> int:
    """Certificates that pebble has issued since it began."""
    log = sandbox.project.state / "cloud/pebble/pebble.log"
    return log.read_text(encoding="utf-8", errors="replace").count("Issued certificate")
