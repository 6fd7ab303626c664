"""The local cloud on a real host: droplets with python-digitalocean, killed, rebooted, stopped without a trace."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import digitalocean
import psutil
import pytest
from dnslib import DNSRecord

from runner import local
from runner.local import cgroups
from runner.local.identity import Identity
from tests.support.root import eventually
from tests.support.traces import host_objects

pytestmark = [pytest.mark.machine, pytest.mark.timeout(600)]

#: Seconds from the order to "active" that a core is idle: a boot beside busy neighbours only takes longer.
UP_SECONDS = 10.0


def only_of(cloud: Cloud, objects: dict[str, list[str]]) -> dict[str, list[str]]:
    """Objects with this cloud's name: other local clouds may come and go meanwhile."""
    key = cloud.identity.key
    return {
        kind: [name for name in names if key in name or str(cloud.state) in name] for kind, names in objects.items()
    }


@dataclass
class Cloud:
    """A local cloud for a test, with the keys of its client and of its machines."""

    state: Path
    running: local.LocalCloud
    keys: Path

    @property
    def identity(self) -> Identity:
        return Identity.of(self.state)

    def manager(self) -> digitalocean.Manager:
        return digitalocean.Manager(token=self.running.token, end_point=self.running.endpoint)

    def create(self, name: str, *, image: str = "debian-13-x64", size: str = "s-1vcpu-1gb") -> digitalocean.Droplet:
        host_key = "".join(f"    {line}\n" for line in (self.keys / "host").read_text().splitlines())
        droplet = digitalocean.Droplet(
            token=self.running.token,
            end_point=self.running.endpoint,
            name=name,
            region="nyc3",
            image=image,
            size_slug=size,
            ssh_keys=[self.key_id()],
            tags=["test"],
            user_data=(
                "#cloud-config\nssh_genkeytypes: []\nssh_keys:\n"
                f"  ed25519_private: |\n{host_key}  ed25519_public: {(self.keys / 'host.pub').read_text()}"
                "write_files:\n- {path: /root/from-user-data, content: hello}\n"
            ),
        )
        droplet.create()
        return droplet

    def key_id(self) -> int:
        text = (self.keys / "client.pub").read_text().strip()
        for key in self.manager().get_all_sshkeys():
            if key.public_key == text:
                return int(key.id)
        key = digitalocean.SSHKey(
            token=self.running.token, end_point=self.running.endpoint, name="test", public_key=text
        )
        key.create()
        return int(key.id)

    def active(self, droplet: digitalocean.Droplet) -> digitalocean.Droplet:
        def is_active() -> bool:
            droplet.load()
            return bool(droplet.status == "active")

        eventually(is_active, 60)
        return droplet

    def ssh(self, droplet: digitalocean.Droplet, script: str, *, check: bool = True) -> str:
        """Run a script on the machine, whose host key must be the one from the user-data."""
        known = self.keys / "known_hosts"
        known.write_text(f"{droplet.ip_address} {(self.keys / 'host.pub').read_text()}")
        argv = ["ssh", "-i", str(self.keys / "client"), "-o", f"UserKnownHostsFile={known}", "-o", "BatchMode=yes"]
        argv += ["-o", "StrictHostKeyChecking=yes", "-o", "ConnectTimeout=5"]
        done = subprocess.run(
            [*argv, f"root@{droplet.ip_address}", script], capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0 or not check, done.stderr
        return done.stdout if done.returncode == 0 else ""

    def boot_id(self, droplet: digitalocean.Droplet) -> str:
        """When the machine's PID 1 started, which differs after each boot; empty while it is down."""
        return self.ssh(droplet, "cut -d' ' -f22 /proc/1/stat", check=False)

    def nspawn(self, droplet: digitalocean.Droplet) -> int:
        record = self.identity.data / "machines" / str(droplet.id) / "process.json"
        return int(json.loads(record.read_text())["pid"])


def make_cloud(directory: Path) -> Cloud:
    directory.mkdir(parents=True)
    for name in ("client", "host"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(directory / name)], check=True)
    state = directory / "state"
    return Cloud(state, local.ensure_running(state, lambda _line: None), directory)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    made = make_cloud(tmp_path_factory.mktemp("local") / "one")
    with pytest.MonkeyPatch.context() as patch:
        # python-digitalocean's actions use only the endpoint in the environment.
        patch.setenv("DIGITALOCEAN_END_POINT", made.running.endpoint)
        yield made
    local.stop(made.state, lambda _line: None)


@pytest.fixture(scope="module", params=[pytest.param("debian-12-x64", marks=pytest.mark.long), "debian-13-x64"])
def droplet(request: pytest.FixtureRequest, cloud: Cloud) -> digitalocean.Droplet:
    local.prepare_image(request.param, print)
    idle = psutil.cpu_times().idle
    made = cloud.active(cloud.create(request.param[:9], image=request.param))
    assert (psutil.cpu_times().idle - idle) / (psutil.cpu_count() or 1) < UP_SECONDS
    return made


def cpus_of(cloud: Cloud, droplet: digitalocean.Droplet) -> list[float]:
    """The number of CPUs that the machine's control groups allow, on any kind of host."""
    name, found = cloud.identity.machine(droplet.id), []
    for directory, _, files in os.walk("/sys/fs/cgroup"):
        if Path(directory).name in (name, f"{name}.scope"):
            for quota in {"cpu.max", "cpu.cfs_quota_us"} & set(files):
                words = (Path(directory) / quota).read_text().split()
                period = words[1:] or [(Path(directory) / "cpu.cfs_period_us").read_text()]
                found.append(int(words[0]) / int(period[0]))
    return found


def test_droplet_is_debian_with_systemd_and_cloud_init(cloud: Cloud, droplet: digitalocean.Droplet) -> None:
    assert cloud.ssh(
        droplet, "cloud-init status --wait >/dev/null; cloud-init status; systemctl is-system-running --wait"
    ).split() == [
        "status:",
        "done",
        "running",
    ]
    assert cloud.ssh(droplet, "cat /root/from-user-data; hostname; cat /proc/1/comm").split() == [
        "hello" + droplet.name,
        "systemd",
    ]
    assert cloud.ssh(droplet, "ls /etc/ssh/ssh_host_*").split() == [
        "/etc/ssh/ssh_host_ed25519_key",
        "/etc/ssh/ssh_host_ed25519_key.pub",
    ]


def test_a_machine_reaches_packages_names_and_its_metadata(cloud: Cloud, droplet: digitalocean.Droplet) -> None:
    # As at the provider, a new droplet has no package lists before apt update.
    assert cloud.ssh(droplet, "ls /var/lib/apt/lists | grep -c Packages || true").strip() == "0"
    cloud.ssh(droplet, "apt-get update -q")
    assert int(cloud.ssh(droplet, "ls /var/lib/apt/lists | grep -c Packages")) >= 2
    assert cloud.ssh(droplet, "curl -fsS http://169.254.169.254/metadata/v1/id") == str(droplet.id)
    assert "ssh_keys" in cloud.ssh(droplet, "curl -fsS http://169.254.169.254/metadata/v1/user-data")
    assert cloud.ssh(droplet, "curl -sS -o /dev/null http://127.0.0.1 && echo served", check=False) == ""


def test_the_size_bites(cloud: Cloud, droplet: digitalocean.Droplet) -> None:
    hog = "python3 -c 'x = bytearray(1500 << 20); print(len(x))'"
    assert cloud.ssh(droplet, hog, check=False) == ""
    assert cloud.ssh(droplet, "python3 -c 'x = bytearray(300 << 20); print(len(x))'").strip() == str(300 << 20)
    assert cpus_of(cloud, droplet) == [1.0]
    # Two busy processes on one virtual CPU share one CPU's time. Beside busy neighbours they would get no more even
    # without a limit, so the limit itself was checked above.
    burn = "timeout 2 sh -c 'while :; do :; done' & timeout 2 sh -c 'while :; do :; done' & wait; times"
    used = cloud.ssh(droplet, burn).split()[-2:]
    seconds = sum(float(part.split("m")[1].rstrip("s")) for part in used)
    # It uses some CPU; how much it gets on a busy host depends on the host.
    assert 0.05 < seconds < 2.6


def test_limits_of_the_machines_own_units_bite(cloud: Cloud, droplet: digitalocean.Droplet) -> None:
    unit = "systemd-run --wait --quiet -p MemoryMax=50M python3 -c 'x = bytearray({} << 20)'"
    assert cloud.ssh(droplet, f"{unit.format(10)} && echo lives").strip() == "lives"
    assert cloud.ssh(droplet, f"{unit.format(200)} && echo lives", check=False) == ""
    forks = "import os\nfor n in range(40):\n  if os.fork() == 0: os.execvp('sleep', ['sleep', '1'])"
    cloud.ssh(droplet, f"cat >/tmp/forks.py <<'EOF'\n{forks}\nEOF")
    assert cloud.ssh(droplet, "systemd-run --wait --quiet -p TasksMax=10 python3 /tmp/forks.py", check=False) == ""
    cloud.ssh(droplet, "systemd-run --wait --quiet -p TasksMax=60 python3 /tmp/forks.py")
    burn = "timeout 2 sh -c 'while :; do :; done'; times"
    used = cloud.ssh(droplet, f'systemd-run --wait --quiet --pipe -p CPUQuota=20% sh -c "{burn}"').split()[-2:]
    assert sum(float(part.split("m")[1].rstrip("s")) for part in used) < 0.8


@pytest.mark.parametrize("way", ["reboot inside", "poweroff inside", "kill -9", "reboot by the API", "power cycle"])
def test_it_comes_back(cloud: Cloud, droplet: digitalocean.Droplet, way: str) -> None:
    cloud.ssh(droplet, "echo kept >/root/kept; sync")
    before = cloud.boot_id(droplet)
    if way == "reboot inside":
        cloud.ssh(droplet, "systemctl reboot", check=False)
    elif way == "poweroff inside":
        cloud.ssh(droplet, "systemctl poweroff", check=False)
    elif way == "kill -9":
        os.kill(cloud.nspawn(droplet), signal.SIGKILL)
    elif way == "reboot by the API":
        assert droplet.reboot(return_dict=False).wait(update_every_seconds=0.2, repeat=600)
    else:
        assert droplet.power_cycle(return_dict=False).wait(update_every_seconds=0.2, repeat=600)
    after = eventually(lambda: (now := cloud.boot_id(droplet)) != before and now, 120)
    assert after
    assert cloud.ssh(droplet, "cat /root/kept; systemctl is-system-running --wait").split() == ["kept", "running"]
    # A reboot is not a first boot: the keys are the same (ssh has checked the host's) and the seed does not run again.
    unit = "systemd-run --wait --quiet -p MemoryMax=50M python3 -c 'x = bytearray(200 << 20)' && echo lives"
    assert cloud.ssh(droplet, unit, check=False) == ""


def test_off_is_off_and_a_resize_counts(cloud: Cloud) -> None:
    made = cloud.active(cloud.create("grows"))
    assert made.shutdown(return_dict=False).wait(update_every_seconds=0.2, repeat=600)
    made.load()
    assert made.status == "off"
    time.sleep(1)
    assert not [
        machine for machine in local.status(cloud.state).machines if machine.name == "grows" and machine.running
    ]
    assert made.resize("s-2vcpu-4gb", return_dict=False, disk=False).wait(update_every_seconds=0.2, repeat=600)
    assert made.power_on(return_dict=False).wait(update_every_seconds=0.2, repeat=600)
    assert cloud.ssh(made, "python3 -c 'x = bytearray(1500 << 20); print(len(x))'").strip() == str(1500 << 20)
    assert made.destroy()
    assert made.id not in [machine.id for machine in local.status(cloud.state).machines]
    # Its files and their mount are removed a little later.
    eventually(
        lambda: (
            not list((cloud.identity.data / "trash").iterdir())
            and not [
                name
                for names in host_objects().values()
                for name in names
                if str(made.id) in name and cloud.identity.key in name
            ]
        ),
        120,
    )


def test_names_are_answered_on_machines_and_on_this_host(cloud: Cloud) -> None:
    made = cloud.active(cloud.create("named"))
    domain = digitalocean.Domain(token=cloud.running.token, end_point=cloud.running.endpoint, name=cloud.running.zone)
    name = f"n{cloud.identity.key}"
    record = domain.create_new_domain_record(type="A", name=name, data=made.ip_address, ttl=60)["domain_record"]
    whole = f"{name}.{cloud.running.zone}"
    reply = DNSRecord.parse(DNSRecord.question(whole).send(cloud.running.resolver, 53, timeout=5))
    assert [str(rr.rdata) for rr in reply.rr] == [made.ip_address]
    assert cloud.ssh(made, f"getent ahostsv4 {whole}").split()[0] == made.ip_address
    eventually(lambda: whole in Path("/etc/hosts").read_text(), 30)
    assert socket.gethostbyname(whole) == made.ip_address
    domain.delete_domain_record(id=record["id"])
    eventually(lambda: whole not in Path("/etc/hosts").read_text(), 30)
    made.destroy()


def test_killed_server_leaves_machines_to_the_next_one(cloud: Cloud) -> None:
    made = cloud.active(cloud.create("orphan"))
    before, nspawn = cloud.boot_id(made), cloud.nspawn(made)
    facts = json.loads((cloud.identity.directory / "server.json").read_text())
    os.kill(facts["pid"], signal.SIGKILL)
    eventually(lambda: not local.status(cloud.state).running, 30)
    assert cloud.boot_id(made) == before
    again = local.ensure_running(cloud.state, lambda _line: None)
    assert again == cloud.running
    assert cloud.boot_id(made) == before
    assert cloud.nspawn(made) == nspawn
    made.load()
    assert made.status == "active"
    os.kill(nspawn, signal.SIGKILL)
    assert eventually(lambda: (now := cloud.boot_id(made)) != before and now, 120)
    made.destroy()


def test_pebble_comes_back_with_its_old_root_remembered(cloud: Cloud) -> None:
    bundle = cloud.running.ca_bundle.read_text()
    process = json.loads((cloud.identity.directory / "pebble/process.json").read_text())
    os.kill(process["pid"], signal.SIGKILL)
    eventually(lambda: cloud.running.ca_bundle.read_text() != bundle, 60)
    assert cloud.running.ca_bundle.read_text().startswith(bundle)
    import requests

    directory = requests.get(cloud.running.acme_directory, verify=str(cloud.running.acme_ca), timeout=5).json()
    assert "newOrder" in directory


def zone(cloud: Cloud) -> digitalocean.Domain:
    return digitalocean.Domain(token=cloud.running.token, end_point=cloud.running.endpoint, name=cloud.running.zone)


def test_two_clouds_side_by_side_and_nothing_left_of_one(cloud: Cloud, tmp_path: Path) -> None:
    mine = cloud.active(cloud.create("mine"))
    before = only_of(cloud, host_objects())
    with ThreadPoolExecutor(2) as pool:
        second, third = pool.map(make_cloud, [tmp_path / "two", tmp_path / "three"])
    try:
        assert len({c.running.resolver for c in (cloud, second, third)}) == 3
        theirs = second.active(second.create("theirs"))
        assert [d.name for d in second.manager().get_all_droplets()] == ["theirs"]
        assert second.ssh(theirs, "hostname").strip() == "theirs"
        assert any(names for names in only_of(second, host_objects()).values())
        # The first cloud uses this name: it must not lead to the second cloud's hub, nor block it.
        name = f"shared-{cloud.identity.key}"
        whole = f"{name}.{cloud.running.zone}"
        record = zone(cloud).create_new_domain_record(type="A", name=name, data=mine.ip_address)["domain_record"]
        eventually(lambda: whole in Path("/etc/hosts").read_text(), 30)
        before = only_of(cloud, host_objects())
        zone(second).create_new_domain_record(type="A", name=name, data=theirs.ip_address)
        assert local.holder_of(second.state, whole) == cloud.state
        time.sleep(1)
        assert only_of(second, host_objects())["hosts"] == []
        os.kill(json.loads((second.identity.directory / "server.json").read_text())["pid"], signal.SIGKILL)
    finally:
        local.stop(second.state, lambda _line: None)
        local.stop(third.state, lambda _line: None)
    for gone in (second, third):
        left = only_of(gone, host_objects())
        assert left == {kind: [] for kind in left}
        assert local.status(gone.state) == local.LocalCloudStatus(False, None, ())
        local.stop(gone.state, lambda _line: None)
    assert only_of(cloud, host_objects()) == before
    zone(cloud).delete_domain_record(id=record["id"])
    assert cloud.ssh(mine, "curl -fsS http://169.254.169.254/metadata/v1/id") == str(mine.id)
    mine.destroy()


def test_it_leaves_the_host_as_it_was(tmp_path: Path) -> None:
    umask = os.umask(0o077)
    try:
        one = make_cloud(tmp_path / "one")
        short = one.active(one.create("short"))
    finally:
        os.umask(umask)
    # A teacher's restrictive umask must not close anything to students on the machine.
    paths = "/ /etc /etc/resolv.conf /var/lib /var/lib/cloud"
    assert one.ssh(short, f"stat -c %a {paths}").split() == ["755", "755", "644", "755", "755"]
    # Other local clouds come and go, so only objects with this cloud's name are compared.
    there = only_of(one, host_objects())
    own = {"namespaces", "links", "tables", "mounts", "groups", "processes", "disks"}
    assert {kind for kind, names in there.items() if names} >= own
    local.stop(one.state, lambda _line: None)
    after = host_objects()
    assert only_of(one, after) == {kind: [] for kind in after}


def test_a_machine_without_an_overlay_is_a_copy(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    from runner.local import machine, network

    subnet = network.recorded_subnet(cloud.identity)
    assert subnet
    backend = machine.NspawnBackend(cloud.identity, subnet, print)
    monkeypatch.setattr(machine, "_mount_overlay", lambda *_: False)
    spec = machine.MachineSpec(1, 250, "copy", "debian-13-x64", cgroups.Limits(1024**3, 1), 10, "", ())
    try:
        backend.start(spec)
        eventually(lambda: backend.ready(spec), 30)
        backend.stop(spec, graceful=False)
        backend.start(spec)
        eventually(lambda: backend.ready(spec), 30)
    finally:
        backend.destroy(spec)
    assert not (cloud.identity.data / "machines/1").exists()


def test_the_caches_base_is_never_written(cloud: Cloud, droplet: digitalocean.Droplet) -> None:
    base = Path((cloud.identity.data / "machines" / str(droplet.id) / "base").read_text())
    cloud.ssh(droplet, "echo changed >/etc/motd")
    assert "changed" not in (base / "etc/motd").read_text()
    assert (base / "etc/machine-id").read_text() == ""
    assert not list(base.glob("etc/ssh/ssh_host_*"))
    assert shutil.disk_usage(base).free > 0
