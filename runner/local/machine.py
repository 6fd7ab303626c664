"""A droplet's machine: Debian in systemd-nspawn, on an overlay over a base image, in its own network namespace."""

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
from runner.local.walls import Wall, rules

SHUTDOWN_SECONDS = 30.0
NSPAWN_RUN = Path("/run/systemd/nspawn")

# Loop devices are the kernel's, and nothing in a container makes their nodes.
LOOP_DEVICES = (
    "mknod -m 0600 /dev/loop-control c 10 237; "
    "number=0; while [ $number -lt 64 ]; do mknod -m 0600 /dev/loop$number b 7 $number; number=$((number + 1)); done; "
)
# Runs as PID 1 and then executes systemd. On cgroup v1 nspawn mounts the controllers read-only, so the machine's units
# could not have limits. Here, before systemd starts, they can be remounted.
OPEN_CGROUPS = (
    'for tree in /sys/fs/cgroup /sys/fs/cgroup/*/; do mount -o remount,bind,rw "${tree%/}" 2>/dev/null; done; '
    'exec /lib/systemd/systemd "$@"'
)
PLAIN_INIT = 'exec /lib/systemd/systemd "$@"'
# systemd 256 and later refuse cgroup v1 without these options; older versions ignore them.
FORCE_V1 = ("systemd.unified_cgroup_hierarchy=0", "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1")


@dataclass(frozen=True)
class MachineSpec:
    """The specification of a machine; ``slot`` is the last number of its address."""

    droplet_id: int
    slot: int
    name: str
    image: str
    limits: Limits
    disk: int
    """Gigabytes."""
    user_data: str
    public_keys: tuple[str, ...]
    ipv6: bool = False


class MachineBackend(Protocol):
    """What the API needs from machines. All calls may be repeated, and block until done."""

    def start(self, spec: MachineSpec) -> None:
        """Make the machine's disk if it has none, and boot it if it does not run."""

    def stop(self, spec: MachineSpec, *, graceful: bool) -> None:
        """Shut it down, or cut its power; the disk is kept."""

    def destroy(self, spec: MachineSpec) -> None:
        """Cut the power and remove everything from the host; the files of its disk may be deleted a little later."""

    def running(self, spec: MachineSpec) -> bool:
        """Whether it is on."""

    def ready(self, spec: MachineSpec) -> bool:
        """Whether its SSH server answers."""

    def address(self, slot: int) -> str:
        """The address of a slot."""

    def address6(self, slot: int) -> tuple[str, str] | None:
        """The IPv6 address of a slot and its gateway; None on a host without IPv6."""

    def enforce(self, walls: tuple[Wall, ...]) -> None:
        """Let in to each of these machines what its wall lets in, from outside of the cloud."""


class NspawnBackend:
    """The real machines. Their processes are independent of ours: they survive our death and are found again."""

    def __init__(self, identity: Identity, subnet: Subnet, log: Callable[[str], None]) -> None:
        self._identity = identity
        self._subnet = subnet
        self._log = log
        self._cgroups = cgroups.of_this_host()
        self._lock = threading.Lock()
        # Our child processes, which must be reaped so that they do not stay zombies.
        self._children: dict[int, subprocess.Popen[bytes]] = {}
        # Files that a killed server had set aside and not deleted yet.
        self._remove_later(*(self._trash.iterdir() if self._trash.is_dir() else ()))

    @contextlib.contextmanager
    def still(self) -> Iterator[None]:
        """Keep all machines from being started, stopped or destroyed during the block."""
        with self._lock:
            yield

    def address(self, slot: int) -> str:
        """The machine's address on the cloud's bridge."""
        return self._subnet.address(slot)

    def address6(self, slot: int) -> tuple[str, str] | None:
        """The machine's IPv6 address on the cloud's bridge, and the bridge's own."""
        return (self._subnet.address6(slot), self._subnet.gateway6) if network.has_ipv6() else None

    def enforce(self, walls: tuple[Wall, ...]) -> None:
        """Load the walls into this host's nftables, all at once."""
        run(["nft", "-f", "-"], stdin=rules(self._identity, self._subnet, walls))

    def start(self, spec: MachineSpec) -> None:
        """Boot. Raises CoursehubError if the host lacks something (disk, mmdebstrap)."""
        with self._lock:
            if self.running(spec):
                return
            self._sweep(spec)
            self._mount(spec)
            network.connect(self._identity, self._subnet, spec.droplet_id, spec.slot, ipv6=spec.ipv6)
            self._boot(spec)

    def stop(self, spec: MachineSpec, *, graceful: bool) -> None:
        """Shut down; after 30 s the power is cut."""
        process = self._process(spec)
        if process and graceful:
            process.signal(signal.SIGTERM)
            deadline = time.monotonic() + SHUTDOWN_SECONDS
            while self.running(spec) and time.monotonic() < deadline:
                time.sleep(0.1)
        with self._lock:
            self._sweep(spec)

    def destroy(self, spec: MachineSpec) -> None:
        """Remove the machine, its network and its groups.

        Its disk is set aside, because deleting takes minutes on a busy host.
        """
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
        """Whether the nspawn process that we or an earlier server started is alive."""
        child = self._children.get(spec.droplet_id)
        if child is not None and child.poll() is not None:
            self._children.pop(spec.droplet_id, None)
        process = self._process(spec)
        return process is not None and process.alive()

    def ready(self, spec: MachineSpec) -> bool:
        """Whether an SSH server answers at the machine's address."""
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
        """Kill everything of an earlier run, down to its last process, before a machine boots."""
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
        # The first boot writes the machine-id. From then on the files belong to the machine, which may have deleted its
        # seed or replaced a directory by a link. Until then, a start that was killed is repeated.
        if not (home / "machine-id").exists():
            _first_files(root, spec, self._subnet.gateway)

    def _mount_root(self, home: Path, root: Path, spec: MachineSpec) -> None:
        base = _base_of(home, spec, self._log)
        home.chmod(0o700)
        files = disk.ensure(home, spec.disk)
        # This mount does not need it, and the mark of a volatile mount would prevent the next one.
        _rm(files / "work")
        for directory in (files / "upper", files / "work", root):
            directory.mkdir(exist_ok=True)
        # This directory becomes the machine's "/", whatever the umask.
        (files / "upper").chmod(0o755)
        if not (home / "copied").exists():
            options = f"lowerdir={base},upperdir={files / 'upper'},workdir={files / 'work'}"
            if _mount_overlay(options, root):
                return
            # Overlays do not work on this file system (for example another overlay, in a container): copy, with shared
            # blocks if possible.
            run(["cp", "-a", "--reflink=auto", f"{base}/.", str(root)])
            root.chmod(0o755)
            (home / "copied").touch()

    def _boot(self, spec: MachineSpec) -> None:
        home = self._home(spec)
        name = self._identity.machine(spec.droplet_id)
        argv = nspawn_argv(
            name=name,
            # The kernel accepts 64 bytes; cloud-init gets the full name.
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
                    # nspawn's lock files survive a kill; we ensure ourselves that a machine runs once.
                    "SYSTEMD_NSPAWN_LOCK": "0",
                },
            )
        self._children[spec.droplet_id] = child
        process = ProcessId.of(child.pid)
        if process:
            write_whole(home / "process.json", json.dumps({"pid": process.pid, "started": process.started}))


def nspawn_argv(*, name: str, hostname: str, root: Path, namespace: str, machine_id: str, cgroup_v1: bool) -> list[str]:
    """The command line of a machine."""
    init = LOOP_DEVICES + (OPEN_CGROUPS if cgroup_v1 else PLAIN_INIT)
    return [
        "systemd-nspawn",
        "--quiet",
        # Without these two nspawn needs machined and a scope of its own; we made the group.
        "--keep-unit",
        "--register=no",
        f"--machine={name}",
        f"--hostname={hostname}",
        f"--uuid={machine_id}",
        f"--directory={root}",
        f"--network-namespace-path=/run/netns/{namespace}",
        # nspawn does not grant these for a network namespace that it did not make; firewalls need them.
        "--capability=CAP_NET_ADMIN,CAP_NET_RAW",
        "--resolv-conf=off",
        "--timezone=off",
        "--link-journal=no",
        "--console=pipe",
        # systemd as PID 1 powers off on this signal; nspawn sends it when it gets SIGTERM.
        "--kill-signal=SIGRTMIN+4",
        "--",
        "/bin/sh",
        "-c",
        init,
        "init",
        *(FORCE_V1 if cgroup_v1 else ()),
    ]


def _base_of(home: Path, spec: MachineSpec, log: Callable[[str], None]) -> Path:
    """The base from which the machine was made; it must stay the same when the recipe changes."""
    record = home / "base"
    if record.exists() and Path(record.read_text()).is_dir():
        return Path(record.read_text())
    base = base_image(spec.image, log)
    write_whole(record, str(base), 0o600)
    return base


def _mount_overlay(options: str, root: Path) -> bool:
    """Mount as volatile if the kernel supports it (5.10): a machine's syncs need not reach the disk."""
    mount = ["mount", "-t", "overlay", "overlay", str(root), "-o"]
    return any(
        subprocess.run([*mount, options + more], capture_output=True, check=False).returncode == 0
        for more in (",volatile", "")
    )


def _first_files(root: Path, spec: MachineSpec, name_server: str) -> None:
    """Write what the provider gives a new machine: its name server and the seed for cloud-init."""
    seed = root / "var/lib/cloud/seed/nocloud"
    seed.mkdir(parents=True, exist_ok=True)
    # cloud-init starts before it has written anything else, and the seed may contain the host's private key.
    seed.chmod(0o700)
    write_whole(root / "etc/resolv.conf", f"nameserver {name_server}\n")
    write_whole(seed / "user-data", spec.user_data or "#cloud-config\n{}\n", 0o600)
    write_whole(seed / "meta-data", meta_data(spec), 0o600)


def meta_data(spec: MachineSpec) -> str:
    """cloud-init's meta-data for a machine; JSON, which is also YAML."""
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
    """Unmount everything below a dead machine's directory and delete it; may be repeated."""
    unmount_below(home)
    _rm(home)


def _rm(path: Path) -> None:
    # shutil.rmtree takes twice as long, and in this process.
    run(["rm", "-rf", "--one-file-system", "--", str(path)], check=False)


def forget_in_nspawn(name: str) -> None:
    """Remove the files that a killed nspawn leaves below /run."""
    for path in (NSPAWN_RUN / "propagate" / name, NSPAWN_RUN / "unix-export" / name):
        unmount_below(path)
        with contextlib.suppress(OSError):
            path.rmdir()
