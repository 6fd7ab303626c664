"""A droplet's machine: Debian under systemd-nspawn, on an overlay of a base image, in its own network namespace."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from runner.files import write_whole
from runner.local import cgroups, disk, network
from runner.local.cgroups import Limits
from runner.local.host import ProcessId, run
from runner.local.identity import Identity, Subnet
from runner.local.images import base_image

SHUTDOWN_SECONDS = 30.0
NSPAWN_RUN = Path("/run/systemd/nspawn")

# Started as PID 1 and replaced by systemd. On cgroup v1 nspawn mounts the controllers read-only, and the limits of
# the machine's own units could not be set; from in here, before systemd looks, they can be opened.
OPEN_CGROUPS = (
    'for tree in /sys/fs/cgroup /sys/fs/cgroup/*/; do mount -o remount,bind,rw "${tree%/}" 2>/dev/null; done; '
    'exec /lib/systemd/systemd "$@"'
)
PLAIN_INIT = 'exec /lib/systemd/systemd "$@"'
# systemd 256 and later refuse cgroup v1 unless told, and older ones do not know the words (and ignore them).
FORCE_V1 = ("systemd.unified_cgroup_hierarchy=0", "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1")


@dataclass(frozen=True)
class MachineSpec:
    """What a machine is made of; ``slot`` is the last number of its address."""

    droplet_id: int
    slot: int
    name: str
    image: str
    limits: Limits
    disk: int
    """Gigabytes."""
    user_data: str
    public_keys: tuple[str, ...]


class MachineBackend(Protocol):
    """What the API needs of machines. All calls may be repeated; they block until done."""

    def start(self, spec: MachineSpec) -> None:
        """Make the machine's disk if it has none, and boot it if it does not run."""

    def stop(self, spec: MachineSpec, *, graceful: bool) -> None:
        """Shut it down in order, or pull the plug; the disk stays."""

    def destroy(self, spec: MachineSpec) -> None:
        """Pull the plug and remove everything of it from the host; the files of its disk may go a little later."""

    def running(self, spec: MachineSpec) -> bool:
        """Whether it is on."""

    def ready(self, spec: MachineSpec) -> bool:
        """Whether its SSH server answers."""

    def address(self, slot: int) -> str:
        """The address of a slot."""


class NspawnBackend:
    """The real machines. Their processes do not depend on ours: they live on, and are found again, when we die."""

    def __init__(self, identity: Identity, subnet: Subnet, log: Callable[[str], None]) -> None:
        self._identity = identity
        self._subnet = subnet
        self._log = log
        self._cgroups = cgroups.of_this_host()
        self._lock = threading.Lock()
        # Children that we must reap, or they would stay as zombies.
        self._children: dict[int, subprocess.Popen[bytes]] = {}
        # What a server that was killed had set aside and not removed yet.
        self._remove_later(*(self._trash.iterdir() if self._trash.is_dir() else ()))

    @contextlib.contextmanager
    def still(self) -> Iterator[None]:
        """No machine is started, stopped or destroyed meanwhile."""
        with self._lock:
            yield

    def address(self, slot: int) -> str:
        """The machine's address on the cloud's bridge."""
        return self._subnet.address(slot)

    def start(self, spec: MachineSpec) -> None:
        """Boot; raises CoursehubError when the host lacks something (disk, mmdebstrap)."""
        with self._lock:
            if self.running(spec):
                return
            self._sweep(spec)
            self._mount(spec)
            network.connect(self._identity, self._subnet, spec.droplet_id, spec.slot)
            self._boot(spec)

    def stop(self, spec: MachineSpec, *, graceful: bool) -> None:
        """Shut down; a machine that does not within 30 s loses its power."""
        process = self._process(spec)
        if process and graceful:
            process.signal(signal.SIGTERM)
            deadline = time.monotonic() + SHUTDOWN_SECONDS
            while self.running(spec) and time.monotonic() < deadline:
                time.sleep(0.1)
        with self._lock:
            self._sweep(spec)

    def destroy(self, spec: MachineSpec) -> None:
        """Remove the machine, its cable and its groups. Its disk is set aside: on a busy host that takes minutes."""
        with self._lock:
            self._sweep(spec)
            network.disconnect(self._identity, spec.droplet_id, spec.slot)
            forget_in_nspawn(self._identity.machine(spec.droplet_id))
            home = self._home(spec)
            if not home.exists():
                return
            self._trash.mkdir(mode=0o700, exist_ok=True)
            aside = self._trash / f"{home.name}.{time.time_ns()}"
            home.rename(aside)
        self._remove_later(aside)

    def running(self, spec: MachineSpec) -> bool:
        """Whether the nspawn process that we, or an earlier server, started is alive."""
        child = self._children.get(spec.droplet_id)
        if child is not None and child.poll() is not None:
            self._children.pop(spec.droplet_id, None)
        process = self._process(spec)
        return process is not None and process.alive()

    def ready(self, spec: MachineSpec) -> bool:
        """Whether an SSH server greets us at the machine's address."""
        try:
            with socket.create_connection((self.address(spec.slot), 22), timeout=1) as connection:
                connection.settimeout(1)
                return connection.recv(4) == b"SSH-"
        except OSError:
            return False

    def _remove_later(self, *homes: Path) -> None:
        def remove() -> None:
            for home in homes:
                remove_files(home)

        threading.Thread(target=remove, name="trash", daemon=True).start()

    @property
    def _trash(self) -> Path:
        return self._identity.data / "trash"

    def _home(self, spec: MachineSpec) -> Path:
        return self._identity.data / "machines" / str(spec.droplet_id)

    def _process(self, spec: MachineSpec) -> ProcessId | None:
        try:
            record = json.loads((self._home(spec) / "process.json").read_text())
        except (OSError, ValueError):
            return None
        return ProcessId(record["pid"], record["started"])

    def _sweep(self, spec: MachineSpec) -> None:
        """Nothing of an earlier run may be left when a machine boots: kill it, down to its last process."""
        process = self._process(spec)
        if process:
            process.signal(signal.SIGKILL)
        self._cgroups.destroy(self._identity.machine(spec.droplet_id))
        child = self._children.pop(spec.droplet_id, None)
        if child:
            child.wait(timeout=10)
        (self._home(spec) / "process.json").unlink(missing_ok=True)

    def _mount(self, spec: MachineSpec) -> None:
        home = self._home(spec)
        root = home / "root"
        if not root.is_mount():
            self._mount_root(home, root, spec)
        # The first boot makes the number. From then on the tree is the machine's own, which may have emptied its seed
        # or put a link in a directory's place; until then a start that was killed half-way is repeated.
        if not (home / "machine-id").exists():
            _first_files(root, spec, self._subnet.gateway)

    def _mount_root(self, home: Path, root: Path, spec: MachineSpec) -> None:
        base = _base_of(home, spec, self._log)
        home.chmod(0o700)
        files = disk.ensure(home, spec.disk)
        # What an earlier mount left in it is of no use to this one, and the mark of a volatile one would forbid it.
        _rm(files / "work")
        for directory in (files / "upper", files / "work", root):
            directory.mkdir(exist_ok=True)
        # This one becomes the machine's "/", whatever the umask is.
        (files / "upper").chmod(0o755)
        if not (home / "copied").exists():
            options = f"lowerdir={base},upperdir={files / 'upper'},workdir={files / 'work'}"
            if _mount_overlay(options, root):
                return
            # No overlay on this file system (an overlay itself, in a container): a copy, shared where it can be.
            run(["cp", "-a", "--reflink=auto", f"{base}/.", str(root)])
            root.chmod(0o755)
            (home / "copied").touch()

    def _boot(self, spec: MachineSpec) -> None:
        home = self._home(spec)
        name = self._identity.machine(spec.droplet_id)
        argv = nspawn_argv(
            name=name,
            # A kernel takes 64 bytes; cloud-init gets the whole name.
            hostname=spec.name if len(spec.name) < 64 else spec.name.partition(".")[0][:63],
            root=home / "root",
            namespace=self._identity.netns(spec.droplet_id),
            machine_id=_machine_id(home),
            cgroup_v1=cgroups.host_is_v1(),
        )
        with (home / "console.log").open("wb") as console:
            child = subprocess.Popen(
                self._cgroups.command(name, spec.limits, argv),
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd="/",
                env={
                    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                    # Its lock files outlive a kill; that one machine runs once is our own care.
                    "SYSTEMD_NSPAWN_LOCK": "0",
                },
            )
        self._children[spec.droplet_id] = child
        process = ProcessId.of(child.pid)
        if process:
            write_whole(home / "process.json", json.dumps({"pid": process.pid, "started": process.started}))


def nspawn_argv(*, name: str, hostname: str, root: Path, namespace: str, machine_id: str, cgroup_v1: bool) -> list[str]:
    """The command line of a machine."""
    init = OPEN_CGROUPS if cgroup_v1 else PLAIN_INIT
    return [
        "systemd-nspawn",
        "--quiet",
        # Without these two nspawn wants machined and a scope of its own; we made the group.
        "--keep-unit",
        "--register=no",
        f"--machine={name}",
        f"--hostname={hostname}",
        f"--uuid={machine_id}",
        f"--directory={root}",
        f"--network-namespace-path=/run/netns/{namespace}",
        # A private network namespace that nspawn did not make does not bring these; firewalls need them.
        "--capability=CAP_NET_ADMIN,CAP_NET_RAW",
        "--resolv-conf=off",
        "--timezone=off",
        "--link-journal=no",
        "--console=pipe",
        # What systemd as PID 1 takes as the order to power off; nspawn sends it when it gets SIGTERM.
        "--kill-signal=SIGRTMIN+4",
        "--",
        "/bin/sh",
        "-c",
        init,
        "init",
        *(FORCE_V1 if cgroup_v1 else ()),
    ]


def _base_of(home: Path, spec: MachineSpec, log: Callable[[str], None]) -> Path:
    """The base that the machine was made from, which must not change under it when the recipe does."""
    record = home / "base"
    if record.exists() and Path(record.read_text()).is_dir():
        return Path(record.read_text())
    base = base_image(spec.image, log)
    write_whole(record, str(base), 0o600)
    return base


def _mount_overlay(options: str, root: Path) -> bool:
    """Volatile where the kernel knows that (5.10): what a machine syncs is in the host's memory already."""
    mount = ["mount", "-t", "overlay", "overlay", str(root), "-o"]
    return any(
        subprocess.run([*mount, options + more], capture_output=True, check=False).returncode == 0
        for more in (",volatile", "")
    )


def _first_files(root: Path, spec: MachineSpec, name_server: str) -> None:
    """What the provider gives a new machine: its name server and the seed for cloud-init."""
    seed = root / "var/lib/cloud/seed/nocloud"
    seed.mkdir(parents=True, exist_ok=True)
    # cloud-init logs in before it has written anything else; the seed may carry the host's private key.
    seed.chmod(0o700)
    write_whole(root / "etc/resolv.conf", f"nameserver {name_server}\n")
    write_whole(seed / "user-data", spec.user_data or "#cloud-config\n{}\n", 0o600)
    write_whole(seed / "meta-data", meta_data(spec), 0o600)


def meta_data(spec: MachineSpec) -> str:
    """cloud-init's meta-data of a machine; JSON, which is YAML too."""
    return json.dumps(
        {
            "instance-id": str(spec.droplet_id),
            "local-hostname": spec.name,
            "public-keys": list(spec.public_keys),
        }
    )


def _machine_id(home: Path) -> str:
    record = home / "machine-id"
    if not record.exists():
        write_whole(record, uuid.uuid4().hex)
    return record.read_text()


def unmount_below(directory: Path) -> None:
    """Unmount everything under a directory, deepest first."""
    points = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        point = Path(line.split()[4].encode().decode("unicode_escape"))
        if point.is_relative_to(directory):
            points.append(point)
    for point in sorted(points, reverse=True):
        if subprocess.run(["umount", str(point)], capture_output=True, check=False).returncode != 0:
            run(["umount", "--lazy", str(point)], check=False)


def remove_files(home: Path) -> None:
    """Unmount what is below a dead machine's directory and delete it; safe to repeat."""
    unmount_below(home)
    _rm(home)


def _rm(path: Path) -> None:
    # Not shutil.rmtree: that takes twice as long, of this process.
    run(["rm", "-rf", "--one-file-system", "--", str(path)], check=False)


def forget_in_nspawn(name: str) -> None:
    """Remove the marks that a killed nspawn leaves under /run."""
    for path in (NSPAWN_RUN / "propagate" / name, NSPAWN_RUN / "unix-export" / name):
        unmount_below(path)
        with contextlib.suppress(OSError):
            path.rmdir()
