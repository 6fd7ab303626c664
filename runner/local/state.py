"""The state of a local cloud on this host; reading it changes nothing."""

from __future__ import annotations

import json
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from runner.errors import CoursehubError
from runner.local import network
from runner.local.host import ProcessId, names_of_other_clouds, state_of
from runner.local.identity import ACME_PORT, BACKUP_PORT, ZONE, Identity
from runner.local.store import Store

LOG = "server.log"


@dataclass(frozen=True)
class LocalCloud:
    """How to connect to a running local cloud."""

    endpoint: str
    """The API's address with the slash at the end, for DIGITALOCEAN_END_POINT."""
    token: str
    """For DIGITALOCEAN_ACCESS_TOKEN."""
    acme_directory: str
    """pebble's ACME directory, as machines reach it."""
    acme_ca: Path
    """PEM of the authority that signed pebble's own HTTPS certificate: a server needs it in ``extra_ca``."""
    ca_bundle: Path
    """PEM of every root that pebble has issued from: what a browser must trust."""
    zone: str
    """The DNS zone that the account has from the start."""
    resolver: str
    """The address of the cloud's name server (port 53)."""
    backups: str
    """Address and port of the place for backups (runner/local/backups.py), as machines reach it."""
    log: Path
    """Why an action errored or a machine did not boot: the API's answers have no place for a reason."""


@dataclass(frozen=True)
class Machine:
    """A droplet and its machine on this host."""

    id: int
    name: str
    status: str
    ip: str
    running: bool
    size: str
    tags: tuple[str, ...]


@dataclass(frozen=True)
class LocalCloudStatus:
    """Everything of a local cloud on this host."""

    running: bool
    endpoint: str | None
    machines: tuple[Machine, ...]


def find(state: Path) -> LocalCloud | None:
    """The local cloud of a state directory if it runs; starts and changes nothing."""
    identity = Identity.of(state)
    facts = facts_of(identity)
    return cloud_of(identity, facts) if server_of(facts) else None


def cloud_of(identity: Identity, facts: dict[str, object]) -> LocalCloud:
    """How to connect to a running cloud; ``facts`` are its server's record."""
    return LocalCloud(
        endpoint=_endpoint(facts),
        token=(identity.directory / "token").read_text(),
        acme_directory=f"https://{facts['gateway']}:{ACME_PORT}/dir",
        acme_ca=Path(str(facts["acme_ca"])),
        ca_bundle=Path(str(facts["ca_bundle"])),
        zone=ZONE,
        resolver=str(facts["gateway"]),
        backups=f"{facts['gateway']}:{BACKUP_PORT}",
        log=identity.directory / LOG,
    )


def status(state: Path) -> LocalCloudStatus:
    """What runs, without changing anything. Raises CoursehubError for a user without the rights."""
    identity = Identity.of(state)
    try:
        facts = facts_of(identity)
        running = server_of(facts) is not None
        droplets = Store(identity.directory / "account.json").account.droplets
    except PermissionError as error:
        raise CoursehubError("only root can look at the local cloud; run this again with sudo") from error
    subnet = network.recorded_subnet(identity)
    machines = []
    for droplet in droplets:
        process = machine_process(identity, droplet.id)
        machines.append(
            Machine(
                id=droplet.id,
                name=droplet.name,
                status=droplet.status,
                ip=subnet.address(droplet.slot) if subnet else "",
                running=process is not None and process.alive(),
                size=droplet.size,
                tags=tuple(droplet.tags),
            )
        )
    return LocalCloudStatus(running, _endpoint(facts) if running else None, tuple(machines))


def holder_of(state: Path, hostname: str) -> Path | None:
    """The state directory of another local cloud with this name in /etc/hosts; None if the name is free or ours."""
    key = names_of_other_clouds(Identity.of(state).hosts_mark).get(hostname)
    return state_of(key) if key else None


def machine_process(identity: Identity, droplet_id: int) -> ProcessId | None:
    """The process of a droplet's machine, even if it ended; None without a record."""
    try:
        record = json.loads((identity.data / "machines" / str(droplet_id) / "process.json").read_text())
        return ProcessId(record["pid"], record["started"])
    except (OSError, ValueError, KeyError):
        return None


def facts_of(identity: Identity) -> dict[str, object]:
    """The record that the cloud's server wrote when it was ready; empty without a server, or while it starts."""
    try:
        facts = json.loads((identity.directory / "server.json").read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


def server_of(facts: dict[str, object]) -> ProcessId | None:
    """The server's process; None if it has ended."""
    if not facts:
        return None
    process = ProcessId(int(str(facts["pid"])), int(str(facts["started"])))
    return process if process.alive() else None


def _endpoint(facts: dict[str, object]) -> str:
    return f"http://127.0.0.1:{facts['port']}/v2/"


def end(process: ProcessId, timeout: float = 5.0) -> None:
    """End a process: terminate it, and kill it after ``timeout`` seconds."""
    process.signal(signal.SIGTERM)
    deadline = time.monotonic() + timeout
    while process.alive() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.signal(signal.SIGKILL)
    while process.alive() and time.monotonic() < deadline + timeout:
        time.sleep(0.02)
