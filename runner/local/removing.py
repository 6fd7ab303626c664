"""Removes a local cloud with everything that it created on this host."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from pathlib import Path

from runner.errors import CoursehubError
from runner.local import cgroups, disk, network
from runner.local.host import Report, forwarding_restore, locked, set_hosts_lines
from runner.local.identity import Identity
from runner.local.machine import forget_in_nspawn, remove_files
from runner.local.pebble import Pebble
from runner.local.state import end, facts_of, machine_process, server_of


def stop(state: Path, report: Report) -> None:
    """Destroy all machines of a local cloud and everything that it created on this host; may be repeated.

    It uses only what is found on the host, so it works after the server was killed.
    """
    identity = Identity.of(state)
    if not identity.data.exists() and not identity.directory.exists():
        return
    if os.geteuid() != 0:
        raise CoursehubError("only root can stop a local cloud; run this again with sudo")
    report("stopping the local cloud")
    with locked(identity.lock):
        for process in (server_of(facts_of(identity)), Pebble.process(identity.directory / "pebble")):
            if process is not None:
                end(process)
        _remove(identity)
    if not disk.wait_until_released(identity.data):
        report("a program on this computer still uses a disk of the machines; its room comes back when that ends")


def remove_forgotten(identity: Identity, pebble: Pebble) -> None:
    """Like `stop`, called by the server itself after its cloud's directory was deleted, when nobody else can find it.

    Machines are kept if another server has started in its place. The caller ends afterwards.
    """
    had_state = identity.state.exists()
    pebble.end()
    with locked(identity.lock):
        server = server_of(facts_of(identity))
        if server is None or server.pid == os.getpid():
            _remove(identity)
    if not had_state:
        with contextlib.suppress(OSError):
            identity.state.rmdir()


def _remove(identity: Identity) -> None:
    """Remove everything of a cloud while holding its lock, which is removed last."""
    _remove_machines(identity)
    network.remove(identity)
    set_hosts_lines(identity.hosts_mark, {})
    remove_files(identity.data)
    forwarding_restore()
    shutil.rmtree(identity.directory, ignore_errors=True)
    identity.lock.unlink(missing_ok=True)


def _remove_machines(identity: Identity) -> None:
    homes = identity.data / "machines"
    ways = cgroups.of_this_host()
    for home in sorted(homes.iterdir()) if homes.is_dir() else ():
        process = machine_process(identity, int(home.name))
        if process is not None:
            process.signal(signal.SIGKILL)
        name = identity.machine(int(home.name))
        ways.destroy(name)
        forget_in_nspawn(name)
    for aside in (*homes.glob("*"), *(identity.data / "trash").glob("*")):
        remove_files(aside)
