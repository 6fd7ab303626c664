"""The local cloud: the provider's API on this host, with systemd-nspawn machines for droplets.

What the runner uses stands here. A cloud belongs to a state directory; everything that it puts on the host carries
a name derived from that directory, so that several clouds do not touch each other.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from runner.errors import CoursehubError
from runner.local import cgroups, disk, images, network
from runner.local.below import set_names
from runner.local.host import (
    ProcessId,
    Report,
    forwarding_restore,
    install_packages,
    locked,
    names_of_other_clouds,
    set_hosts_lines,
    state_of,
    why_unavailable,
)
from runner.local.identity import ACME_PORT, ZONE, Identity
from runner.local.machine import forget_in_nspawn, remove_files
from runner.local.pebble import Pebble
from runner.local.source import source_key
from runner.local.store import Store

#: Names of the images that droplets can have.
IMAGES = tuple(images.SUITES)
# A second on most hosts; an emulated processor took over half a minute.
START_SECONDS = 120.0
LOG = "server.log"

__all__ = [
    "IMAGES",
    "LocalCloud",
    "LocalCloudStatus",
    "Machine",
    "Report",
    "ensure_running",
    "find",
    "holder_of",
    "install_packages",
    "prepare_image",
    "remove_forgotten",
    "set_names",
    "status",
    "stop",
    "why_unavailable",
]


@dataclass(frozen=True)
class LocalCloud:
    """How to use a running local cloud."""

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
    log: Path
    """Why an action errored or a machine did not boot: the API's answers have no place for a reason."""


@dataclass(frozen=True)
class Machine:
    """A droplet as it stands on this host."""

    id: int
    name: str
    status: str
    ip: str
    running: bool
    size: str
    tags: tuple[str, ...]


@dataclass(frozen=True)
class LocalCloudStatus:
    """What there is of a local cloud on this host."""

    running: bool
    endpoint: str | None
    machines: tuple[Machine, ...]


def ensure_running(state: Path, report: Report) -> LocalCloud:
    """Start the local cloud of a state directory, or find it running.

    Installs the missing Debian packages (named to ``report`` first). A server that died, or runs other code than
    this, is started anew; machines that should run are booted.
    Raises CoursehubError where no local cloud can run, when apt fails, or when the server does not come up.
    """
    reason = why_unavailable()
    if reason:
        raise CoursehubError(reason)
    identity = Identity.of(state)
    identity.state.mkdir(parents=True, exist_ok=True, mode=0o700)
    with locked(identity.lock):
        identity.directory.mkdir(exist_ok=True, mode=0o700)
        install_packages(report)
        facts = _facts(identity)
        server = _server(facts)
        if server is None or facts.get("source") != source_key():
            if server is not None:
                _end(server)
            report("starting the local cloud")
            facts = _start(identity)
    return _cloud(identity, facts)


def find(state: Path) -> LocalCloud | None:
    """The local cloud of a state directory if it runs; starts and changes nothing."""
    identity = Identity.of(state)
    facts = _facts(identity)
    return _cloud(identity, facts) if _server(facts) else None


def _cloud(identity: Identity, facts: dict[str, object]) -> LocalCloud:
    return LocalCloud(
        endpoint=_endpoint(facts),
        token=(identity.directory / "token").read_text(),
        acme_directory=f"https://{facts['gateway']}:{ACME_PORT}/dir",
        acme_ca=Path(str(facts["acme_ca"])),
        ca_bundle=Path(str(facts["ca_bundle"])),
        zone=ZONE,
        resolver=str(facts["gateway"]),
        log=identity.directory / LOG,
    )


def prepare_image(slug: str, report: Report) -> None:
    """See that a droplet can be made: room on the disk, and the image, which is built now if it is not in the cache.

    Without this call the first droplet's boot builds it, and ``report`` is not told.

    Raises CoursehubError for an unknown image, a full disk or a failing build.
    """
    images.base_image(slug, report)


def status(state: Path) -> LocalCloudStatus:
    """What runs, without changing anything. Raises CoursehubError for a user who may not look."""
    identity = Identity.of(state)
    try:
        facts = _facts(identity)
        running = _server(facts) is not None
        droplets = Store(identity.directory / "account.json").account.droplets
    except PermissionError as error:
        raise CoursehubError("only root can look at the local cloud; run this again with sudo") from error
    subnet = network.recorded_subnet(identity)
    machines = []
    for droplet in droplets:
        process = _machine_process(identity, droplet.id)
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
    """The state directory of another local cloud that has this name in /etc/hosts; None when it is free or ours."""
    key = names_of_other_clouds(Identity.of(state).hosts_mark).get(hostname)
    return state_of(key) if key else None


def stop(state: Path, report: Report) -> None:
    """Destroy all machines of a local cloud and everything that it put on this host; safe to repeat.

    Works from what is on the host, not from what a server knows, so that a killed server is no hindrance.
    """
    identity = Identity.of(state)
    if not identity.data.exists() and not identity.directory.exists():
        return
    if os.geteuid() != 0:
        raise CoursehubError("only root can stop a local cloud; run this again with sudo")
    report("stopping the local cloud")
    with locked(identity.lock):
        for process in (_server(_facts(identity)), Pebble.process(identity.directory / "pebble")):
            if process is not None:
                _end(process)
        _remove(identity)
    if not disk.wait_until_released(identity.data):
        report("a program on this computer still uses a disk of the machines; its room comes back when that ends")


def remove_forgotten(identity: Identity, pebble: Pebble) -> None:
    """What `stop` does, for the server itself when its cloud's directory was deleted: nobody else could find it.

    Nothing happens to the machines when another server has begun in this one's place. The caller ends afterwards.
    """
    had_state = identity.state.exists()
    pebble.end()
    with locked(identity.lock):
        server = _server(_facts(identity))
        if server is None or server.pid == os.getpid():
            _remove(identity)
    if not had_state:
        with contextlib.suppress(OSError):
            identity.state.rmdir()


def _remove(identity: Identity) -> None:
    """Everything of a cloud, under its lock, which goes last."""
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
        process = _machine_process(identity, int(home.name))
        if process is not None:
            process.signal(signal.SIGKILL)
        name = identity.machine(int(home.name))
        ways.destroy(name)
        forget_in_nspawn(name)
    for aside in (*homes.glob("*"), *(identity.data / "trash").glob("*")):
        remove_files(aside)


def _machine_process(identity: Identity, droplet_id: int) -> ProcessId | None:
    try:
        record = json.loads((identity.data / "machines" / str(droplet_id) / "process.json").read_text())
        return ProcessId(record["pid"], record["started"])
    except (OSError, ValueError, KeyError):
        return None


def _facts(identity: Identity) -> dict[str, object]:
    try:
        facts = json.loads((identity.directory / "server.json").read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


def _server(facts: dict[str, object]) -> ProcessId | None:
    if not facts:
        return None
    process = ProcessId(int(str(facts["pid"])), int(str(facts["started"])))
    return process if process.alive() else None


def _endpoint(facts: dict[str, object]) -> str:
    return f"http://127.0.0.1:{facts['port']}/v2/"


def _start(identity: Identity) -> dict[str, object]:
    root = Path(__file__).resolve().parents[2]
    with (identity.directory / LOG).open("ab") as output:
        child = subprocess.Popen(
            [sys.executable, "-m", "runner.local.server", "--state", str(identity.state)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd="/",
            env={**os.environ, "PYTHONPATH": str(root)},
        )
    try:
        return _wait_for(child, identity)
    except BaseException:
        # Interrupted, too: until the server has written its record, nobody else can find it to stop it.
        child.kill()
        child.wait()
        raise


def _wait_for(child: subprocess.Popen[bytes], identity: Identity) -> dict[str, object]:
    """What a new server writes when it is ready."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and child.poll() is None:
        facts = _facts(identity)
        if facts.get("pid") == child.pid:
            return facts
        time.sleep(0.05)
    path = identity.directory / LOG
    lines = path.read_text(errors="replace").strip().splitlines() or ["no message"]
    raise CoursehubError(f"the local cloud did not start: {lines[-1]}; its log is {path}")


def _end(process: ProcessId, timeout: float = 5.0) -> None:
    process.signal(signal.SIGTERM)
    deadline = time.monotonic() + timeout
    while process.alive() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.signal(signal.SIGKILL)
    while process.alive() and time.monotonic() < deadline + timeout:
        time.sleep(0.02)
