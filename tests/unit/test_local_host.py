"""The local cloud's name server, network choice, and what it writes on the host, without root."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import ipaddress
import json
import os
import shutil
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from cryptography import x509
from dnslib import QTYPE, RCODE, DNSRecord
from starlette.applications import Starlette

from runner import local
from runner.errors import CoursehubError
from runner.files import write_whole
from runner.local import cgroups, disk, dns, host, identity, images, machine, metadata, network, pebble, source
from runner.local.https import make_https_certificate
from runner.local.identity import Identity, Subnet
from runner.local.machine import MachineSpec, NspawnBackend, meta_data, nspawn_argv
from runner.local.store import Account, Domain, Record, Store
from tests.support.local_api import served
from tests.support.programs import Programs

pytestmark = pytest.mark.unit

ZONES = [
    Domain(
        name="coursehub.test",
        records=[
            Record(id=1, type="A", name="@", data="10.0.0.1"),
            Record(id=2, type="A", name="Demo", data="10.0.0.2"),
            Record(id=3, type="CNAME", name="www.demo", data="demo.coursehub.test."),
            Record(id=4, type="A", name="*.many", data="10.0.0.4"),
            Record(id=5, type="A", name="one.many", data="10.0.0.5"),
            Record(id=6, type="TXT", name="demo", data="x" * 300),
            Record(id=7, type="MX", name="@", data="mail", priority=10),
            Record(id=8, type="CAA", name="@", data="pebble", flags=0, tag="issue"),
            Record(id=9, type="CNAME", name="loop", data="loop.coursehub.test"),
            Record(id=10, type="SRV", name="_s._tcp", data="demo", priority=1, weight=2, port=3),
            Record(id=11, type="AAAA", name="six", data="fd00::1"),
        ],
    ),
    Domain(name="sub.coursehub.test", records=[Record(id=20, type="A", name="x", data="10.0.0.20")]),
]


def ask(name: str, kind: str = "A") -> DNSRecord:
    reply = dns.answer(DNSRecord.question(name, kind), ZONES)
    assert reply is not None
    # As it goes over the wire, not as it was put together.
    return DNSRecord.parse(reply.pack())


def data(reply: DNSRecord) -> list[str]:
    return [str(rr.rdata) for rr in reply.rr]


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("coursehub.test", "A", ["10.0.0.1"]),
        ("DEMO.coursehub.test", "A", ["10.0.0.2"]),
        ("www.demo.coursehub.test", "A", ["demo.coursehub.test.", "10.0.0.2"]),
        ("www.demo.coursehub.test", "CNAME", ["demo.coursehub.test."]),
        ("any.many.coursehub.test", "A", ["10.0.0.4"]),
        ("one.many.coursehub.test", "A", ["10.0.0.5"]),
        ("x.sub.coursehub.test", "A", ["10.0.0.20"]),
        ("six.coursehub.test", "AAAA", ["fd00::1"]),
        ("coursehub.test", "CAA", ['0 issue "pebble"']),
    ],
)
def test_names_of_our_zones(name: str, kind: str, expected: list[str]) -> None:
    reply = ask(name, kind)
    assert data(reply) == expected
    assert reply.header.rcode == RCODE.NOERROR
    assert reply.header.aa


def test_other_kinds_of_records() -> None:
    assert data(ask("coursehub.test", "MX")) == ["10 mail."]
    assert data(ask("_s._tcp.coursehub.test", "SRV")) == ["1 2 3 demo."]
    assert "".join(part.decode() for part in ask("demo.coursehub.test", "TXT").rr[0].rdata.data) == "x" * 300
    assert {QTYPE[rr.rtype] for rr in ask("coursehub.test", "ANY").rr} == {"A", "MX", "CAA"}


@pytest.mark.parametrize(
    ("name", "kind", "rcode"),
    [
        ("nobody.coursehub.test", "A", RCODE.NXDOMAIN),
        ("demo.coursehub.test", "AAAA", RCODE.NOERROR),
        ("many.coursehub.test", "A", RCODE.NOERROR),
        ("a.demo.coursehub.test", "A", RCODE.NXDOMAIN),
        ("sub.coursehub.test", "A", RCODE.NOERROR),
    ],
)
def test_no_such_name_is_not_no_such_record(name: str, kind: str, rcode: int) -> None:
    reply = ask(name, kind)
    assert reply.header.rcode == rcode
    assert reply.rr == []
    assert [QTYPE[rr.rtype] for rr in reply.auth] == ["SOA"]


def test_an_alias_of_itself_ends() -> None:
    assert len(data(ask("loop.coursehub.test"))) == dns.MAX_ALIASES


def test_other_names_are_not_ours() -> None:
    assert dns.answer(DNSRecord.question("notcoursehub.test"), ZONES) is None


@pytest.fixture
def two_name_servers(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """One that forwards everything, through the host's resolver file, to one that knows our zones."""
    upstream = dns.serve("127.0.0.1", 0, lambda: ZONES)
    port = upstream[0].server.server_address[1]
    front = dns.serve("127.0.0.1", 0, lambda: [])
    true_send = DNSRecord.send
    monkeypatch.setattr(dns, "upstream_resolvers", lambda: ["127.0.0.1"])
    monkeypatch.setattr(
        DNSRecord,
        "send",
        lambda self, server, given, **kwargs: true_send(self, server, port if given == 53 else given, **kwargs),
    )
    yield front[0].server.server_address[1]
    # Each takes half a second to notice.
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda server: server.stop(), (*upstream, *front)))
    for server in (*upstream, *front):
        server.server.server_close()


def test_other_names_are_asked_upstream(two_name_servers: int) -> None:
    reply = DNSRecord.parse(DNSRecord.question("demo.coursehub.test").send("127.0.0.1", two_name_servers, timeout=5))
    assert data(reply) == ["10.0.0.2"]


def test_nobody_upstream_is_servfail(two_name_servers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dns, "upstream_resolvers", lambda: [])
    reply = DNSRecord.parse(DNSRecord.question("else.test").send("127.0.0.1", two_name_servers, timeout=5))
    assert reply.header.rcode == RCODE.SERVFAIL


# --- identities and networks


def test_two_states_share_no_name(tmp_path: Path) -> None:
    first, second = Identity.of(tmp_path / "a"), Identity.of(tmp_path / "b")
    for names in (
        (first.bridge, second.bridge),
        (first.veth(250), second.veth(250)),
        (first.netns(1), second.netns(1)),
        (first.nft_table, second.nft_table),
        (first.hosts_mark, second.hosts_mark),
        (first.data, second.data),
    ):
        assert names[0] != names[1]
    assert max(len(first.bridge), len(first.veth(250))) <= 15
    assert Identity.of(tmp_path / "b" / ".." / "a") == first


def test_a_network_that_overlaps_nothing() -> None:
    used = [ipaddress.IPv4Network("10.101.5.0/24"), ipaddress.IPv4Network("10.101.6.0/25")]
    assert str(network.free_network(used, start=5)) == "10.101.7.0/24"
    assert str(network.free_network([ipaddress.IPv4Network("10.0.0.0/8")], start=1)) == "172.29.1.0/24"
    everything = [ipaddress.IPv4Network("0.0.0.0/1"), ipaddress.IPv4Network("128.0.0.0/1")]
    with pytest.raises(CoursehubError, match="no free private"):
        network.free_network(everything, start=0)


def test_addresses_of_a_network() -> None:
    subnet = Subnet(ipaddress.IPv4Network("10.101.7.0/24"))
    assert (subnet.gateway, subnet.address(10)) == ("10.101.7.1", "10.101.7.10")


def test_slots_are_used_once_and_run_out() -> None:
    store = Store(None)
    store.account = Account()
    slots = set()
    for _ in range(241):
        slot = store.free_slot()
        assert slot is not None
        from runner.local.api.droplets import _new_droplet

        order = {"size": "s-1vcpu-1gb", "disk": 25, "image": "debian-13-x64", "region": "nyc3"}
        slots.add(_new_droplet(store, "x", {**order, "tags": [], "public_keys": [], "user_data": ""}).slot)
    assert slots == set(range(10, 251))
    assert store.free_slot() is None


# --- the host


@pytest.fixture
def private_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "hosts").write_text("127.0.0.1 localhost\n10.9.9.9 other # coursehub-ffff")
    monkeypatch.setattr(host, "HOSTS", tmp_path / "hosts")
    monkeypatch.setattr(host, "HOST_LOCK", tmp_path / "lock")
    monkeypatch.setattr(host, "DATA_ROOT", tmp_path / "data")
    monkeypatch.setattr(network, "DATA_ROOT", tmp_path / "data")
    return tmp_path


def test_hosts_lines_come_and_go(private_host: Path) -> None:
    hosts = private_host / "hosts"
    before = hosts.read_text()
    host.set_hosts_lines("# coursehub-abcd", {"b.test": "10.0.0.2", "a.test": "10.0.0.1"})
    assert hosts.read_text() == f"{before}\n10.0.0.1 a.test # coursehub-abcd\n10.0.0.2 b.test # coursehub-abcd\n"
    host.set_hosts_lines("# coursehub-abcd", {"a.test": "10.0.0.3"})
    assert hosts.read_text() == f"{before}\n10.0.0.3 a.test # coursehub-abcd\n"
    host.set_hosts_lines("# coursehub-abcd", {})
    assert hosts.read_text() == f"{before}\n"


def test_hosts_that_is_a_mount_is_written_in_place(private_host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EBUSY, "Device or resource busy")

    monkeypatch.setattr(host, "write_whole", refuse)
    hosts, opened = private_host / "hosts", Path.open
    before, file = hosts.read_text(), hosts.stat().st_ino
    sizes = []

    def look_after_opening(path: Path, *arguments: Any, **options: Any) -> Any:
        stream = opened(path, *arguments, **options)
        sizes.append(hosts.stat().st_size)
        return stream

    monkeypatch.setattr(Path, "open", look_after_opening)
    host.set_hosts_lines("# coursehub-abcd", {"a.test": "10.0.0.1"})
    assert hosts.read_text() == f"{before}\n10.0.0.1 a.test # coursehub-abcd\n"
    host.set_hosts_lines("# coursehub-abcd", {})
    assert hosts.read_text() == f"{before}\n"
    assert hosts.stat().st_ino == file
    assert min(sizes) > 0


def test_hosts_is_not_touched_without_need(private_host: Path) -> None:
    before = (private_host / "hosts").stat()
    host.set_hosts_lines("# coursehub-abcd", {})
    after = (private_host / "hosts").stat()
    # Looking at it is allowed: only the time of reading may differ.
    assert (after.st_ino, after.st_mtime_ns, after.st_size) == (before.st_ino, before.st_mtime_ns, before.st_size)


def test_a_name_that_another_cloud_has_stays_its_own(private_host: Path) -> None:
    """The second cloud breaks nothing, is told who has it, and gets it when the first is gone."""
    hosts, (one, two) = private_host / "hosts", (Identity.of(private_host / name) for name in ("one", "two"))
    first, second = one.hosts_mark, two.hosts_mark
    data = private_host / "data" / one.key
    data.mkdir(parents=True)
    (private_host / "one").mkdir()
    (data / "network.json").write_text(json.dumps({"state": str(private_host / "one"), "network": "10.101.1.0/24"}))
    host.set_hosts_lines(first, {"a.test": "10.0.0.1"})
    before = hosts.read_text()
    assert host.set_hosts_lines(second, {"a.test": "10.0.0.2", "b.test": "10.0.0.2"}) == {"b.test": "10.0.0.2"}
    assert hosts.read_text() == f"{before}10.0.0.2 b.test {second}\n"
    assert local.holder_of(private_host / "two", "a.test") == private_host / "one"
    assert local.holder_of(private_host / "two", "b.test") is None
    assert local.holder_of(private_host / "one", "a.test") is None
    host.set_hosts_lines(second, {})
    assert hosts.read_text() == before
    host.set_hosts_lines(first, {})
    assert host.set_hosts_lines(second, {"a.test": "10.0.0.2"}) == {"a.test": "10.0.0.2"}


def test_a_name_of_a_cloud_that_is_no_more_is_free(private_host: Path) -> None:
    (private_host / "hosts").write_text("10.0.0.1 a.test # coursehub-0123abcd\n")
    assert host.set_hosts_lines("# coursehub-abcdef01", {"a.test": "10.0.0.2"}) == {"a.test": "10.0.0.2"}
    assert (private_host / "hosts").read_text() == "10.0.0.2 a.test # coursehub-abcdef01\n"


def test_a_name_of_a_cloud_whose_state_is_gone_is_free(private_host: Path) -> None:
    """Nobody could stop that one by name."""
    key = "0123abcd"
    (private_host / "data" / key).mkdir(parents=True)
    record = {"state": str(private_host / "gone"), "network": "10.101.1.0/24"}
    (private_host / "data" / key / "network.json").write_text(json.dumps(record))
    (private_host / "hosts").write_text(f"10.0.0.1 a.test # coursehub-{key}\n")
    assert local.holder_of(private_host / "two", "a.test") is None
    host.set_hosts_lines("# coursehub-abcdef01", {"a.test": "10.0.0.2"})
    assert (private_host / "hosts").read_text() == "10.0.0.2 a.test # coursehub-abcdef01\n"


def test_two_clouds_write_hosts_at_once(private_host: Path) -> None:
    def write(mark: str) -> None:
        for number in range(20):
            host.set_hosts_lines(mark, {f"{mark[-1]}{n}.test": "10.0.0.1" for n in range(number)})

    threads = [threading.Thread(target=write, args=(f"# coursehub-{mark}",)) for mark in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = (private_host / "hosts").read_text().splitlines()
    assert len(lines) == 2 + 3 * 19


def test_who_waited_for_a_lock_that_was_deleted_holds_the_one_that_others_see(tmp_path: Path) -> None:
    """As who starts a cloud while another stops it, which deletes its lock at the end."""
    lock = tmp_path / "state" / "lock"
    inside = threading.Event()
    leave = threading.Event()

    def wait() -> None:
        with host.locked(lock):
            inside.set()
            leave.wait(20)

    waiter = threading.Thread(target=wait)
    with host.locked(lock):
        waiter.start()
        # Until it waits; were it slower, it would find no lock, and the test would prove less.
        time.sleep(0.2)
        assert not inside.is_set()
        shutil.rmtree(lock.parent)
    assert inside.wait(20)
    try:
        with lock.open() as handle, pytest.raises(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        leave.set()
        waiter.join()


def test_a_process_is_not_its_successor() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    process = host.ProcessId.of(child.pid)
    assert process is not None
    assert process.alive()
    assert not host.ProcessId(child.pid, process.started - 1).alive()
    child.kill()
    deadline = time.monotonic() + 5
    while process.alive() and time.monotonic() < deadline:
        time.sleep(0.01)
    # Dead though not yet reaped: a zombie is nobody.
    assert not process.alive()
    process.signal(9)
    child.wait()
    assert host.ProcessId.of(child.pid) is None


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "f"
    write_whole(target, "old", 0o600)
    with pytest.raises(UnicodeEncodeError):
        write_whole(target, "\ud800")
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]
    assert target.stat().st_mode & 0o777 == 0o600


def test_a_failing_command_is_one_line_and_a_missing_one_says_what_to_do() -> None:
    with pytest.raises(CoursehubError, match=r"`ls /nowhere` failed: .*No such file.*local cloud needs it"):
        host.run(["ls", "/nowhere"])
    with pytest.raises(CoursehubError, match="not-a-program is not installed"):
        host.run(["not-a-program"])


def test_who_may_not_is_told_the_other_ways(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    reason = local.why_unavailable()
    assert reason is not None
    assert "\n" not in reason
    for word in ("root", "DIGITALOCEAN_ACCESS_TOKEN", "cloud: digitalocean"):
        assert word in reason
    with pytest.raises(CoursehubError, match="it needs root"):
        local.ensure_running(tmp_path, print)
    (tmp_path / "cloud").mkdir()
    with pytest.raises(CoursehubError, match="only root can stop"):
        local.stop(tmp_path, print)


def test_no_space_is_said_before_a_machine_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "CACHE_ROOT", tmp_path / "cache")
    monkeypatch.setattr(images, "DATA_ROOT", tmp_path / "data")
    monkeypatch.setattr(images, "MIN_FREE_BYTES", 10**18)
    with pytest.raises(CoursehubError, match=r"no space for a machine: .*GiB free.*make room"):
        local.prepare_image("debian-13-x64", print)
    with pytest.raises(CoursehubError, match="there is no image 'windows-95'"):
        local.prepare_image("windows-95", print)


def test_status_of_nothing(tmp_path: Path) -> None:
    assert local.status(tmp_path) == local.LocalCloudStatus(False, None, ())
    local.stop(tmp_path / "never", print)


def test_each_file_of_the_package_makes_other_code_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "__file__", str(tmp_path / "source.py"))
    (tmp_path / "api").mkdir()
    keys = [source.source_key()]
    for path in ("server.py", "api/tags.py"):
        (tmp_path / path).write_text("x = 1\n")
        keys.append(source.source_key())
    assert len(set(keys)) == 3


# --- machines


@pytest.mark.parametrize("v1", [True, False])
def test_the_command_of_a_machine(v1: bool) -> None:
    argv = nspawn_argv(
        name="ch-1", hostname="hub", root=Path("/r"), namespace="ch-1", machine_id="0" * 32, cgroup_v1=v1
    )
    assert argv[0] == "systemd-nspawn"
    assert "--capability=CAP_NET_ADMIN,CAP_NET_RAW" in argv
    assert "--network-namespace-path=/run/netns/ch-1" in argv
    # A machine on cgroup v2 must not be told to use v1, and needs nothing remounted.
    assert any("remount" in word for word in argv) == v1
    assert any("unified_cgroup_hierarchy=0" in word for word in argv) == v1


@pytest.fixture
def umask_077() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.fixture
def backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NspawnBackend:
    """Machines whose disks are below the test's directory, from a base image that holds next to nothing."""
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
    """The true build but for the program itself: one that makes its directory as mmdebstrap does, by the umask."""
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
    """At once out of the way, gone soon after; what a killed server had not got round to goes at the next start."""
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


def test_a_host_without_loop_devices_has_its_machines_on_its_own_file_system(
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


def test_a_used_disk_that_cannot_be_mounted_is_an_error_and_stays(programs: Programs, tmp_path: Path) -> None:
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
        # The mount stays when its maker dies.
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
    """One that is would fail in the middle of a write, and nothing on the machine would say that a disk is full."""
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
    # The shell really moves itself there before it becomes the machine.
    child = subprocess.Popen(argv)
    assert child.wait() == 0
    assert (tmp_path / "ch-1/cgroup.procs").read_text().strip() == str(child.pid)


# --- the certificate authority


def test_pebbles_https_certificate_is_verified_strictly(tmp_path: Path) -> None:
    make_https_certificate(tmp_path, "10.101.7.1")
    ca = x509.load_pem_x509_certificate((tmp_path / "acme-ca.pem").read_bytes())
    leaf = x509.load_pem_x509_certificate((tmp_path / "https.pem").read_bytes())
    leaf.verify_directly_issued_by(ca)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert ipaddress.ip_address("10.101.7.1") in names.get_values_for_type(x509.IPAddress)
    assert (tmp_path / "https.key").stat().st_mode & 0o777 == 0o600
    context = ssl.create_default_context(cafile=str(tmp_path / "acme-ca.pem"))
    assert int(context.get_ca_certs()[0]["serialNumber"], 16) == ca.serial_number
    kept = (tmp_path / "https.pem").read_bytes()
    make_https_certificate(tmp_path, "10.101.7.1")
    assert (tmp_path / "https.pem").read_bytes() == kept


def test_pebble_without_its_certificate_is_not_started_and_the_pauses_grow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does its directory, which somebody has deleted, come back."""
    monkeypatch.setattr(pebble, "WATCH_SECONDS", 0.01)
    said: list[str] = []
    keeper = pebble.Pebble(tmp_path / "pebble", "127.0.0.1", said.append)
    watch = threading.Thread(target=keeper._watch)
    watch.start()
    time.sleep(0.5)
    keeper.close()
    watch.join()
    assert 1 <= len(said) <= 6
    assert "https.pem is gone" in said[0]
    assert not list(tmp_path.iterdir())


def test_pebble_that_ends_at_once_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Programs.install(tmp_path / "bin", monkeypatch).add("pebble", "exit 1")
    make_https_certificate(tmp_path, "127.0.0.1")
    began = time.monotonic()
    with pytest.raises(OSError, match="refused"):
        pebble.Pebble(tmp_path, "127.0.0.1", print)._ensure()
    assert time.monotonic() - began < pebble.START_SECONDS / 2


# --- metadata


class From:
    """GET requests that come from a certain address."""

    def __init__(self, app: Starlette, address: str) -> None:
        self._transport = httpx.ASGITransport(app=app, client=(address, 1234))

    def get(self, path: str) -> httpx.Response:
        async def ask() -> httpx.Response:
            async with httpx.AsyncClient(transport=self._transport, base_url="http://169.254.169.254") as client:
                return await client.get(path)

        return asyncio.run(ask())


def test_a_machine_learns_about_itself_only(tmp_path: Path) -> None:
    with served(tmp_path) as api:
        order = {
            "name": "hub",
            "size": "s-1vcpu-1gb",
            "image": "debian-13-x64",
            "user_data": "#cloud-config\n",
            "tags": ["t"],
        }
        api.ok("POST", "droplets", order)
        address = api.ok("GET", "droplets")["droplets"][0]["networks"]["v4"][0]["ip_address"]
        app = metadata.make_app(api.cloud)
        machine = From(app, address)
        assert machine.get("/metadata/v1/user-data").text == "#cloud-config\n"
        assert machine.get("/metadata/v1/hostname").text == "hub"
        assert machine.get("/metadata/v1/interfaces/public/0/ipv4/address").text == address
        assert machine.get("/metadata/v1.json").json()["droplet_id"] == api.ok("GET", "droplets")["droplets"][0]["id"]
        assert "user-data" in machine.get("/metadata/v1/").text
        assert machine.get("/metadata/v1/nothing").status_code == 404
        stranger = From(app, "10.9.9.9")
        for path in ("v1/", "v1/user-data", "v1.json", "v1/interfaces/public/0/ipv4/address"):
            assert stranger.get(f"/metadata/{path}").status_code == 404
