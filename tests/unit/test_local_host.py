"""What the local cloud does to its host: names of interfaces, networks, /etc/hosts, locks and files."""

from __future__ import annotations

import errno
import fcntl
import ipaddress
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from runner import local
from runner.errors import CoursehubError
from runner.files import write_whole
from runner.local import host, images, network, source
from runner.local.identity import Identity, Subnet
from runner.local.store import Account, Store

pytestmark = pytest.mark.unit


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
    # Reading is allowed: only the access time may differ.
    assert (after.st_ino, after.st_mtime_ns, after.st_size) == (before.st_ino, before.st_mtime_ns, before.st_size)


def test_a_name_that_another_cloud_has_stays_its_own(private_host: Path) -> None:
    """The second cloud breaks nothing, learns who has the name, and gets it when the first is gone."""
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
    """Nobody could stop that cloud by name."""
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


def test_lock_that_was_deleted_while_waiting_is_taken_again(tmp_path: Path) -> None:
    """For example a cloud that starts while another process stops it and deletes its lock at the end."""
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
        # Until it waits. If it were slower, it would find no lock and the test would prove less.
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
    # Dead but not reaped yet: a zombie does not count.
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


def test_failing_or_missing_command_is_one_line() -> None:
    with pytest.raises(CoursehubError, match=r"`ls /nowhere` failed: .*No such file.*local cloud needs it"):
        host.run(["ls", "/nowhere"])
    with pytest.raises(CoursehubError, match="not-a-program is not installed"):
        host.run(["not-a-program"])


def test_user_without_rights_reads_the_alternatives(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
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
