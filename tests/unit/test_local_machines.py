"""Machines of the local cloud on this host, without Debian: mounts, networks, groups and processes are real."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from runner import local
from runner.errors import CoursehubError
from runner.local import cgroups, disk, host, identity, images, machine, network
from runner.local.cgroups import Limits
from runner.local.identity import Identity, Subnet
from runner.local.machine import MachineSpec, NspawnBackend
from runner.local.pebble import Pebble
from tests.support import tiny_os
from tests.support.root import eventually, need_root
from tests.support.traces import traces_of

need_root()
pytestmark = [pytest.mark.unit, pytest.mark.timeout(120)]

SPEC = MachineSpec(
    7, 10, "hub", "debian-12-x64", Limits(64 * 1024**2, 1), 3, "#cloud-config\nsecret: 1\n", ("ssh-ed25519 A t",)
)


@dataclass
class Host:
    """This host as one local cloud sees it."""

    state: Path
    identity: Identity
    subnet: Subnet
    backend: NspawnBackend
    said: list[str]

    @property
    def home(self) -> Path:
        return self.identity.data / "machines" / str(SPEC.droplet_id)

    def story(self) -> list[str]:
        path = self.home / "root" / "story"
        return path.read_text().splitlines() if path.exists() else []

    def another_server(self) -> NspawnBackend:
        """What a server has that was started after the first one died."""
        return NspawnBackend(self.identity, self.subnet, self.said.append)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An image cache with the tiny system in place of Debian 12."""
    monkeypatch.setattr(images, "CACHE_ROOT", tmp_path / "cache")
    tiny_os.make(tmp_path / "cache" / f"bookworm-{images._recipe_key()}")
    return tmp_path / "cache"


@pytest.fixture
def there(tmp_path: Path, cache: Path) -> Iterator[Host]:
    """A network for machines; nothing of it or of them may be left afterwards."""
    del cache
    host.install_packages(print)
    state = tmp_path / "state"
    state.mkdir()
    mine = Identity.of(state)
    said: list[str] = []
    subnet = network.ensure(mine)
    mine.directory.mkdir()
    try:
        yield Host(state, mine, subnet, NspawnBackend(mine, subnet, said.append), said)
    finally:
        local.stop(state, print)
    assert traces_of(state) == {}


def ip(*arguments: str) -> str:
    return subprocess.run(["ip", *arguments], capture_output=True, text=True, check=True).stdout


@pytest.fixture
def mounted(there: Host) -> Path:
    """The mount point of a machine's disk on this host."""
    there.backend.start(SPEC)
    if not (there.home / "disk").is_mount():
        # Some containers have none; files are then on the host's own file system, and no disk is awaited.
        pytest.skip("this host has no loop devices")
    return there.home / "disk"


def test_stop_waits_until_nobody_uses_a_disk(there: Host, mounted: Path) -> None:
    # Like a process that dies with a machine, for a moment.
    with subprocess.Popen(["sleep", "3"], cwd=mounted):
        local.stop(there.state, there.said.append)
        assert traces_of(there.state) == {}
    assert there.said == ["stopping the local cloud"]


def test_stop_does_not_wait_for_ever(there: Host, mounted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "RELEASE_SECONDS", 0.2)
    with subprocess.Popen(["sleep", "60"], cwd=mounted) as other:
        local.stop(there.state, there.said.append)
        assert list(traces_of(there.state)) == ["loops"]
        other.kill()
    assert "still uses a disk of the machines" in there.said[-1]
    eventually(lambda: traces_of(there.state) == {})


def test_a_machine_from_its_first_boot_to_its_end(there: Host) -> None:
    backend = there.backend
    assert not backend.running(SPEC)
    backend.start(SPEC)
    eventually(there.story)
    assert there.story() == ["booted as hub"]
    assert backend.running(SPEC)
    assert there.another_server().running(SPEC)
    root = there.home / "root"
    assert (root / "etc/resolv.conf").read_text() == f"nameserver {there.subnet.gateway}\n"
    seed = root / "var/lib/cloud/seed/nocloud"
    assert (seed / "user-data").read_text() == SPEC.user_data
    assert json.loads((seed / "meta-data").read_text())["local-hostname"] == "hub"
    assert {path.stat().st_mode & 0o777 for path in seed.iterdir()} == {0o600}
    assert there.home.stat().st_mode & 0o777 == 0o700
    # With its limits, in its own network.
    process = json.loads((there.home / "process.json").read_text())
    assert there.identity.machine(7) in Path(f"/proc/{process['pid']}/cgroup").read_text()
    assert there.subnet.address(10) in ip("-n", there.identity.netns(7), "addr")
    assert there.subnet.gateway in ip("-n", there.identity.netns(7), "route")
    # A browser on this host does not notice: it has no new address, and the kernel adds none later.
    assert "inet" not in ip("address", "show", "dev", there.identity.veth(10))
    if Path("/proc/net/if_inet6").exists():
        for link in (there.identity.veth(10), there.identity.bridge):
            assert "addrgenmode none" in ip("-details", "link", "show", "dev", link)
    # A second start does nothing.
    backend.start(SPEC)
    assert json.loads((there.home / "process.json").read_text()) == process

    backend.stop(SPEC, graceful=True)
    assert not backend.running(SPEC)
    assert there.story() == ["booted as hub", "ordered down"]
    # The disk is kept, and the first files are not written again.
    shutil.rmtree(seed)
    there.another_server().start(SPEC)
    eventually(lambda: len(there.story()) == 3)
    assert not seed.exists()
    # Power off: the machine gets no signal.
    backend.stop(SPEC, graceful=False)
    assert not there.another_server().running(SPEC)
    assert len(there.story()) == 3

    backend.destroy(SPEC)
    assert not there.home.exists()
    assert there.identity.netns(7) not in ip("netns", "list")
    backend.destroy(SPEC)


def test_killed_create_is_completed_by_the_next_start(there: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the mount of its root and the files that allow access."""
    with monkeypatch.context() as patched:
        patched.setattr(machine, "_first_files", _killed)
        with pytest.raises(InterruptedError):
            there.backend.start(SPEC)
    assert (there.home / "root").is_mount()
    there.another_server().start(SPEC)
    assert eventually(there.story) == ["booted as hub"]
    root = there.home / "root"
    assert (root / "var/lib/cloud/seed/nocloud/user-data").read_text() == SPEC.user_data
    assert (root / "etc/resolv.conf").read_text() == f"nameserver {there.subnet.gateway}\n"


def _killed(*_: object) -> None:
    raise InterruptedError


def test_a_machine_is_ready_when_its_ssh_server_greets(there: Host) -> None:
    there.backend.start(SPEC)
    assert not there.backend.ready(SPEC)
    greeter = subprocess.Popen(
        [
            *("ip", "netns", "exec", there.identity.netns(7), sys.executable, "-S", "-c"),
            "import socket\nwith socket.create_server(('', 22)) as server:\n"
            "    for word in (b'HTTP', b'SSH-2.0-x'):\n        server.accept()[0].sendall(word)",
        ]
    )
    try:
        # Another service on that port is not enough; the second call finds an SSH server.
        assert eventually(lambda: there.backend.ready(SPEC))
    finally:
        greeter.kill()
        greeter.wait()


def test_a_killed_machine_is_seen_and_boots_again_with_its_disk(there: Host) -> None:
    there.backend.start(SPEC)
    eventually(there.story)
    os.kill(json.loads((there.home / "process.json").read_text())["pid"], signal.SIGKILL)
    eventually(lambda: not there.backend.running(SPEC))
    there.backend.start(SPEC)
    eventually(lambda: there.story() == ["booted as hub"] * 2)


def test_a_machine_that_will_not_shut_down_loses_its_power(
    there: Host, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (cache / f"bookworm-{images._recipe_key()}" / "lib/systemd/systemd").write_text(tiny_os.STUBBORN)
    monkeypatch.setattr(machine, "SHUTDOWN_SECONDS", 0.5)
    there.backend.start(SPEC)
    eventually(there.story)
    began = time.monotonic()
    there.backend.stop(SPEC, graceful=True)
    assert time.monotonic() - began >= 0.5
    assert there.story()[-1] == "ordered down"
    assert not there.backend.running(SPEC)


def test_a_machine_keeps_the_base_that_it_was_made_from(there: Host, cache: Path) -> None:
    """A new recipe makes a new base; the base under an existing machine's disk must not change."""
    there.backend.start(SPEC)
    there.backend.stop(SPEC, graceful=False)
    machine.unmount_below(there.home)
    (old,) = (path for path in cache.iterdir() if path.is_dir())
    old.rename(cache / "bookworm-older")
    (there.home / "base").write_text(str(cache / "bookworm-older"))
    there.backend.start(SPEC)
    assert there.backend.running(SPEC)
    assert str(cache / "bookworm-older") in Path("/proc/self/mountinfo").read_text()


def test_where_overlays_cannot_be_stacked_a_machine_is_a_copy(
    there: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a container the disk may itself be an overlay, on which the kernel allows no upper directory."""
    for name in ("lower", "upper", "work", "merged"):
        (tmp_path / "disk" / name).mkdir(parents=True)
    disk = tmp_path / "disk"
    merged = disk / "merged"
    options = f"lowerdir={disk / 'lower'},upperdir={disk / 'upper'},workdir={disk / 'work'}"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, str(merged)], check=True)
    try:
        with monkeypatch.context() as patched:
            patched.setattr(identity, "DATA_ROOT", merged)
            # It has no loop devices either.
            patched.setattr(machine.disk, "ensure", lambda home, _gigabytes: home)
            there.backend.start(SPEC)
            assert eventually(there.story) == ["booted as hub"]
            assert (there.home / "copied").exists()
            assert not (there.home / "root").is_mount()
            there.backend.stop(SPEC, graceful=False)
            there.backend.start(SPEC)
            eventually(lambda: len(there.story()) == 2)
            there.backend.destroy(SPEC)
            assert not there.home.exists()
            # Its files are deleted in the background, and until then this disk is in use.
            eventually(lambda: not list((there.identity.data / "trash").iterdir()))
    finally:
        subprocess.run(["umount", str(merged)], check=True)


def test_stop_takes_machines_away_that_no_server_knows_of(there: Host) -> None:
    for number in (7, 8):
        there.backend.start(replace(SPEC, droplet_id=number, slot=number + 3))
    pids = [json.loads(path.read_text())["pid"] for path in there.identity.data.glob("machines/*/process.json")]
    assert len(pids) == 2
    # A record that a crash left half-written must not keep the others from being removed.
    (there.identity.data / "machines" / "8" / "process.json").write_text("{")
    local.stop(there.state, print)
    assert traces_of(there.state) == {}
    for child in list(there.backend._children.values()):
        child.wait(timeout=10)
    assert [pid for pid in pids if Path(f"/proc/{pid}").exists()] == []
    # As before, for the fixture's final check.
    network.ensure(there.identity)


def test_server_that_nobody_can_find_removes_its_machines(there: Host) -> None:
    there.backend.start(SPEC)
    process = json.loads((there.home / "process.json").read_text())
    shutil.rmtree(there.state)
    local.remove_forgotten(there.identity, Pebble(there.identity.directory / "pebble", there.subnet.gateway, print))
    assert traces_of(there.state) == {}
    there.backend._children[SPEC.droplet_id].wait(timeout=10)
    assert not Path(f"/proc/{process['pid']}").exists()
    assert not there.state.exists()


def test_machines_of_a_successor_server_are_kept(there: Host) -> None:
    there.backend.start(SPEC)
    with subprocess.Popen(["sleep", "60"]) as other:
        try:
            (there.identity.directory / "server.json").write_text(json.dumps(host.ProcessId.of(other.pid).__dict__))
            local.remove_forgotten(there.identity, Pebble(there.identity.directory, there.subnet.gateway, print))
        finally:
            other.kill()
    assert there.backend.running(SPEC)


@pytest.fixture
def group(tmp_path: Path) -> Iterator[str]:
    name = f"{Identity.of(tmp_path).machine(1)}-limits"
    yield name
    cgroups.of_this_host().destroy(name)
    assert list(Path("/sys/fs/cgroup").glob(f"**/{name}*")) == []


def test_the_memory_of_a_size_bites(group: str) -> None:
    ways = cgroups.of_this_host()
    hog = [sys.executable, "-S", "-c", "x = bytearray(300 * 1024 * 1024); print(len(x))"]
    assert subprocess.run(ways.command(group, Limits(32 * 1024**2, 1), hog), check=False).returncode == -signal.SIGKILL
    # Resized up, then down, like an existing group.
    for memory, outcome in ((1024**3, 0), (32 * 1024**2, -signal.SIGKILL)):
        done = subprocess.run(ways.command(group, Limits(memory, 2), hog), capture_output=True, check=False)
        assert done.returncode == outcome


def test_what_is_left_in_a_group_is_killed_with_it(group: str) -> None:
    ways = cgroups.of_this_host()
    script = "sleep 300 & echo $! ; sleep 300"
    child = subprocess.Popen(
        ways.command(group, Limits(256 * 1024**2, 1), ["/bin/sh", "-c", script]), stdout=subprocess.PIPE, text=True
    )
    assert child.stdout
    grandchild = int(child.stdout.readline())
    ways.destroy(group)
    assert child.wait(timeout=10) == -signal.SIGKILL
    eventually(lambda: "State:\tZ" in _status(grandchild))


def _status(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return "State:\tZ"


def test_a_network_is_made_once_and_machines_come_and_go(there: Host) -> None:
    assert network.ensure(there.identity) == there.subnet == network.recorded_subnet(there.identity)
    rules = subprocess.run(
        ["nft", "list", "table", "ip", there.identity.nft_table], capture_output=True, text=True, check=True
    )
    assert "masquerade" in rules.stdout
    assert "169.254.169.254" in rules.stdout
    for _ in range(2):
        network.connect(there.identity, there.subnet, 3, 12)
    with socket.create_server((there.subnet.gateway, 0)) as server:
        port = server.getsockname()[1]
        call = f"import socket; socket.create_connection(('{there.subnet.gateway}', {port}), 5).close()"
        inside = ["ip", "netns", "exec", there.identity.netns(3), sys.executable, "-S", "-c", call]
        subprocess.run(inside, check=True)
        assert server.accept()[1][0] == there.subnet.address(12)
    for _ in range(2):
        network.disconnect(there.identity, 3, 12)
    assert not (Path("/sys/class/net") / there.identity.veth(12)).exists()


def test_two_clouds_choose_different_networks(there: Host, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Identity.of(tmp_path / "other")
    other.directory.mkdir()
    try:
        assert not network.ensure(other).network.overlaps(there.subnet.network)
    finally:
        local.stop(other.state, print)
    assert traces_of(other.state) == {}


def test_host_without_control_groups_reads_what_to_mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if Path("/run/systemd/system").is_dir():
        pytest.skip("systemd looks after the groups of this host")
    monkeypatch.setattr(cgroups, "ROOT", tmp_path)
    with pytest.raises(CoursehubError, match=r"no control groups are mounted.*cgroupfs-mount"):
        cgroups.of_this_host()
