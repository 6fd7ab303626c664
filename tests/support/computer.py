"""A droplet without a boot: Debian's files and sshd in namespaces of this host, ready in a fraction of a second.

What a provider and systemd would do at the first boot, with the user-data and keys of the create call, is done from
outside; ``cloud-init`` and ``systemctl`` in it only report success. Everything written to it stays in memory.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from runner.local import host, images, network
from runner.local.identity import Identity, Subnet
from runner.local.machine import MachineSpec
from runner.local.walls import Wall
from tests.support.local_api import MemoryMachines


def _say(text: str) -> None:
    # Standard output belongs to the verb, which may run in this process.
    print(text, file=sys.stderr)


# Runs in its own mount and process namespace; both end with this shell's parent.
_BEGIN = """
set -eu
base=$1 work=$2 first=$3
mount --make-rprivate /
mount -t tmpfs -o mode=0755 tmpfs "$work"
mkdir "$work/upper" "$work/work" "$work/root"
root=$work/root
mount -t overlay overlay -o "lowerdir=$base,upperdir=$work/upper,workdir=$work/work" "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/run"
mkdir "$root/run/sshd"
cp -a "$first/." "$root/"
exec chroot "$root" /usr/sbin/sshd -D -e
"""
_CLOUD_INIT = "#!/bin/sh\nexit 0\n"
# sshd is process 1 here.
_SYSTEMCTL = '#!/bin/sh\nif [ "$*" = "reload ssh" ]; then kill -HUP 1; else echo "no unit: $*" >&2; exit 5; fi\n'
_CLONE_NEWNET = 0x40000000


@dataclass
class Computers(MemoryMachines):
    """Machines of the API that are reachable by SSH with the keys of the create call."""

    identity: Identity | None = None
    subnet: Subnet | None = None
    directory: Path = Path()
    processes: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)

    @classmethod
    @contextmanager
    def on(cls, directory: Path) -> Iterator[Computers]:
        """Machines with a network of their own, which is removed with them."""
        host.install_packages(_say)
        state = directory / "cloud-of-computers"
        state.mkdir()
        identity = Identity.of(state)
        made = cls(identity=identity, subnet=network.ensure(identity), directory=directory)
        try:
            yield made
        finally:
            for process in made.processes.values():
                _end(process)
            network.remove(identity)
            (identity.data / "network.json").unlink()
            identity.data.rmdir()
            host.forwarding_restore()

    def start(self, spec: MachineSpec) -> None:
        super().start(spec)
        assert self.identity
        assert self.subnet
        network.connect(self.identity, self.subnet, spec.droplet_id, spec.slot)
        home = self.directory / f"computer-{spec.droplet_id}"
        (home / "work").mkdir(parents=True, exist_ok=True)
        _first_files(home / "first", spec)
        with (home / "log").open("ab") as log:
            self.processes[spec.droplet_id] = subprocess.Popen(
                [
                    *("ip", "netns", "exec", self.namespace(spec.droplet_id)),
                    *("unshare", "--mount", "--pid", "--fork", "--kill-child"),
                    *("/bin/sh", "-c", _BEGIN, "begin"),
                    *(str(images.base_image(spec.image, _say)), str(home / "work"), str(home / "first")),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def stop(self, spec: MachineSpec, *, graceful: bool) -> None:
        super().stop(spec, graceful=graceful)
        _end(self.processes.pop(spec.droplet_id))

    def destroy(self, spec: MachineSpec) -> None:
        super().destroy(spec)
        assert self.identity
        if process := self.processes.pop(spec.droplet_id, None):
            _end(process)
        network.disconnect(self.identity, spec.droplet_id, spec.slot)

    def address(self, slot: int) -> str:
        assert self.subnet
        return self.subnet.address(slot)

    def address6(self, slot: int) -> tuple[str, str] | None:
        assert self.subnet
        return (self.subnet.address6(slot), self.subnet.gateway6) if network.has_ipv6() else None

    def enforce(self, walls: tuple[Wall, ...]) -> None:
        self.walls = walls

    def namespace(self, droplet_id: int) -> str:
        assert self.identity
        return self.identity.netns(droplet_id)

    def kill(self, droplet_id: int) -> None:
        """Cut the power without the cloud's knowledge."""
        _end(self.processes.pop(droplet_id))


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def _first_files(root: Path, spec: MachineSpec) -> None:
    keys = yaml.safe_load(spec.user_data)["ssh_keys"]
    for name, text, mode in (
        ("etc/ssh/ssh_host_ed25519_key", keys["ed25519_private"], 0o600),
        ("etc/ssh/ssh_host_ed25519_key.pub", keys["ed25519_public"] + "\n", 0o644),
        ("root/.ssh/authorized_keys", "".join(f"{key}\n" for key in spec.public_keys), 0o600),
        ("usr/bin/cloud-init", _CLOUD_INIT, 0o755),
        ("usr/bin/systemctl", _SYSTEMCTL, 0o755),
        ("var/lib/cloud/instances/1/user-data.txt", spec.user_data, 0o600),
        ("var/lib/cloud/seed/nocloud/user-data", spec.user_data, 0o600),
        ("etc/hostname", f"{spec.name}\n", 0o644),
    ):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
    (root / "root").chmod(0o700)
    (root / "root/.ssh").chmod(0o700)


def enter_network(namespace: str) -> None:
    """Move the calling thread into a network namespace; sockets that it opens then listen there."""
    descriptor = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).setns(descriptor, _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns", namespace)
    finally:
        os.close(descriptor)
