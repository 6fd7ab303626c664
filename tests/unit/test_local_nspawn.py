"""How a machine of the local cloud is made: command, disk, limits and meta-data."""

from __future__ import annotations

import ipaddress
import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from runner.errors import CoursehubError
from runner.local import cgroups, disk, identity, images, machine
from runner.local.identity import Identity, Subnet
from runner.local.machine import MachineSpec, NspawnBackend, meta_data, nspawn_argv
from tests.support.programs import Programs

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("v1", [True, False])
def test_the_command_of_a_machine(v1: bool) -> None:
    argv = nspawn_argv(
        name="ch-1", hostname="hub", root=Path("/r"), namespace="ch-1", machine_id="0" * 32, cgroup_v1=v1
    )
    assert argv[0] == "systemd-nspawn"
    assert "--capability=CAP_NET_ADMIN,CAP_NET_RAW" in argv
    assert "--network-namespace-path=/run/netns/ch-1" in argv
    # A machine on cgroup v2 must not be told to use v1, and needs no remount.
    assert any("remount" in word for word in argv) == v1
    assert any("unified_cgroup_hierarchy=0" in word for word in argv) == v1


@pytest.fixture
def umask_077() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.fixture
def backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NspawnBackend:
    """Machines with disks below the test's directory, from an almost empty base image."""
    base = tmp_path / "base"
    (base / "etc").mkdir(parents=True)
    (base / "var/lib").mkdir(parents=True)
    monkeypatch.setattr(identity, "DATA_ROOT", tmp_path / "data")
    monkeypatch.setattr(machine, "base_image", lambda _slug, _log: base)
    monkeypatch.setattr(machine.disk, "ensure", lambda home, _gigabytes: home)
    monkeypatch.setattr(machine, "_mount_overlay", lambda _options, _root: False)
    monkeypatch.setattr(machine.network, "disconnect", lambda *_: None)
    monkeypatch.setattr(cgroups, "ROOT", tmp_path / "groups")
    monkeypatch.setattr(cgroups, "of_this_host", cgroups.V2)
    return NspawnBackend(Identity.of(tmp_path), Subnet(ipaddress.IPv4Network("10.101.7.0/24")), print)


SPEC = MachineSpec(7, 10, "hub", "debian-13-x64", cgroups.Limits(1, 1), 10, "#cloud-config\n", ())


@pytest.mark.usefixtures("umask_077")
def test_a_teachers_umask_closes_nothing_on_a_machine(backend: NspawnBackend) -> None:
    backend._mount(SPEC)
    home = backend._home(SPEC)
    for path, mode in (("upper", 0o755), ("root", 0o755), ("root/etc/resolv.conf", 0o644), (".", 0o700)):
        assert (home / path).stat().st_mode & 0o777 == mode, path


@pytest.mark.usefixtures("umask_077")
def test_a_teachers_umask_closes_nothing_in_an_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real build except for the program: one that makes its directory with the umask, as mmdebstrap does."""
    program = tmp_path / "bin/mmdebstrap"
    program.parent.mkdir()
    program.write_text(
        '#!/bin/sh\nfor last; do :; done\nmkdir -p "$last" && cd "$last" || exit 1\n'
        "mkdir -p etc/cloud/cloud.cfg.d etc/ssh/sshd_config.d var/lib/dbus\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(images, "CACHE_ROOT", tmp_path / "cache")
    monkeypatch.setattr(images, "DATA_ROOT", tmp_path / "data")
    monkeypatch.setattr(images, "MIN_FREE_BYTES", 0)
    monkeypatch.setattr(images, "host_mirror", lambda: {})
    image = images.base_image("debian-13-x64", print)
    for path, mode in ((".", 0o755), ("etc", 0o755), ("etc/ssh/sshd_config.d/50-cloud-init.conf", 0o644)):
        assert (image / path).stat().st_mode & 0o777 == mode, path


def test_a_deleted_machines_files_go_in_the_background(backend: NspawnBackend, tmp_path: Path) -> None:
    """Moved away at once and deleted soon after; the next start deletes what a killed server left."""
    backend._mount(SPEC)
    home = backend._home(SPEC)
    backend.destroy(SPEC)
    assert not home.exists()
    trash = home.parent.parent / "trash"
    (trash / "6.1/upper/etc").mkdir(parents=True)
    NspawnBackend(Identity.of(tmp_path), Subnet(ipaddress.IPv4Network("10.101.7.0/24")), print)
    deadline = time.monotonic() + 10
    while list(trash.iterdir()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    backend.destroy(SPEC)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    made = Programs.install(tmp_path / "bin", monkeypatch)
    made.add("mkfs.ext4")
    made.add("mount")
    return made


NO_LOOP = "echo 'mount: failed to setup loop device' >&2; exit 32"


def test_host_without_loop_devices_uses_its_own_file_system(
    programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs.add("mount", NO_LOOP)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", _killed)
        with pytest.raises(InterruptedError):
            disk.ensure(tmp_path, 1)
    # A start that was killed in between has decided nothing.
    assert disk.ensure(tmp_path, 1) == tmp_path
    assert not list(tmp_path.glob("disk.*"))
    (tmp_path / "upper").mkdir()
    tried = len(programs.calls("mount"))
    assert disk.ensure(tmp_path, 1) == tmp_path
    assert len(programs.calls("mount")) == tried == 2


def test_used_disk_that_cannot_be_mounted_is_kept(programs: Programs, tmp_path: Path) -> None:
    programs.add("mount", NO_LOOP)
    (tmp_path / "disk.img").write_text("work of a term")
    with pytest.raises(CoursehubError, match=r"disk\.img cannot be mounted: mount: failed to setup loop device"):
        disk.ensure(tmp_path, 1)
    assert (tmp_path / "disk.img").read_text() == "work of a term"


def test_a_disk_has_its_name_once_it_was_mounted(
    programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", _killed)
        with pytest.raises(InterruptedError):
            disk.ensure(tmp_path, 1)
        # The mount survives its maker's death.
        patched.undo()
        patched.setattr(Path, "is_mount", lambda _path: True)
        assert disk.ensure(tmp_path, 1) == tmp_path / "disk"
    assert (tmp_path / "disk.img").stat().st_size == 1024**3
    assert disk.ensure(tmp_path, 1) == tmp_path / "disk"
    assert [call[-2:] for call in programs.calls("mount")] == [
        [str(tmp_path / name), str(tmp_path / "disk")] for name in ("disk.new", "disk.img")
    ]
    assert len(programs.calls("mkfs.ext4")) == 1


def _killed(*_: object) -> None:
    raise InterruptedError


@pytest.mark.usefixtures("programs")
def test_a_disk_is_no_bigger_than_what_the_host_can_give(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A larger one would fail in the middle of a write, without any message about a full disk."""
    gib = 1024**3
    for free, wanted, size in ((100, 25, 25), (5, 25, 4)):
        monkeypatch.setattr(disk.shutil, "disk_usage", lambda _path, free=free: SimpleNamespace(free=free * gib))
        home = tmp_path / str(free)
        home.mkdir()
        disk.ensure(home, wanted)
        assert (home / "disk.img").stat().st_size == size * gib
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _path: SimpleNamespace(free=1.5 * gib))
    with pytest.raises(CoursehubError, match=r"no space for a machine's disk: .* 1\.5 GiB free of the 2 .*make room"):
        disk.ensure(tmp_path, 25)


def test_meta_data_is_what_cloud_init_reads() -> None:
    spec = MachineSpec(7, 10, "hub", "debian-13-x64", cgroups.Limits(1, 1), 10, "", ("ssh-ed25519 AAAA teacher",))
    assert json.loads(meta_data(spec)) == {
        "instance-id": "7",
        "local-hostname": "hub",
        "public-keys": ["ssh-ed25519 AAAA teacher"],
    }


def test_systemd_scope_carries_the_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "run", lambda _argv, **_kwargs: "")
    argv = cgroups.Systemd().command("ch-1", cgroups.Limits(memory=4 * 1024**3, vcpus=2), ["nspawn"])
    assert argv[0] == "systemd-run"
    assert argv[-2:] == ["--", "nspawn"]
    assert {"Delegate=yes", "MemoryMax=4294967296", "MemorySwapMax=0", "CPUQuota=200%"} <= set(argv)


def test_v2_group_gets_the_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "ROOT", tmp_path)
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu io memory pids rdma\n")
    (tmp_path / "ch-1").mkdir()
    (tmp_path / "ch-1/memory.swap.max").write_text("max")
    argv = cgroups.V2().command("ch-1", cgroups.Limits(memory=1024**3, vcpus=2), ["true"])
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+cpu +memory +pids +io +cpuset"
    assert (tmp_path / "ch-1/memory.max").read_text() == str(1024**3)
    assert (tmp_path / "ch-1/memory.swap.max").read_text() == "0"
    assert (tmp_path / "ch-1/cpu.max").read_text() == "200000 100000"
    # The shell really moves itself into the group before it becomes the machine.
    child = subprocess.Popen(argv)
    assert child.wait() == 0
    assert (tmp_path / "ch-1/cgroup.procs").read_text().strip() == str(child.pid)
