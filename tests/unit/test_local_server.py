"""The local cloud's process on this host, without machines: started, killed, found again, gone without a trace."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from cryptography import x509
from dnslib import DNSRecord

from runner import local
from runner.cli import local as cli
from runner.errors import CoursehubError
from runner.local import server, starting
from runner.local.host import ProcessId
from runner.local.identity import KEYS_PORT, METADATA_PORT, Identity
from tests.support.root import eventually, need_root
from tests.support.traces import traces_of

need_root()
pytestmark = [pytest.mark.unit, pytest.mark.timeout(120)]

REPO = Path(__file__).resolve().parents[2]
ORDER = {"name": "hub", "size": "s-1vcpu-1gb", "image": "debian-13-x64", "region": "nyc3"}


@dataclass
class Running:
    """A local cloud and its messages during the start."""

    state: Path
    cloud: local.LocalCloud
    said: list[str]

    @property
    def facts(self) -> dict[str, Any]:
        return json.loads((self.state / "cloud" / "server.json").read_text())

    @property
    def pebble(self) -> int:
        return int(json.loads((self.state / "cloud" / "pebble" / "process.json").read_text())["pid"])

    def again(self) -> local.LocalCloud:
        self.said.clear()
        return local.ensure_running(self.state, self.said.append)

    def call(self, method: str, path: str, body: Any = None) -> Any:
        answer = httpx.request(
            method,
            self.cloud.endpoint + path,
            json=body,
            headers={"Authorization": f"Bearer {self.cloud.token}"},
            trust_env=False,
            timeout=10,
        )
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def roots(self) -> list[x509.Certificate]:
        return x509.load_pem_x509_certificates(self.cloud.ca_bundle.read_bytes())

    def acme(self) -> Any:
        context = ssl.create_default_context(cafile=str(self.cloud.acme_ca))
        with urllib.request.urlopen(self.cloud.acme_directory, context=context, timeout=5) as answer:
            return json.load(answer)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One cloud for the module: each test leaves it running."""
    state = tmp_path_factory.mktemp("cloud") / "state"
    said: list[str] = []
    try:
        yield Running(state, local.ensure_running(state, said.append), said)
    finally:
        local.stop(state, said.append)
    assert said[-1] == "stopping the local cloud"
    assert traces_of(state) == {}
    assert list(state.iterdir()) == []


def test_who_comes_before_the_server_is_ready_is_not_refused() -> None:
    with server._bind("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname(), timeout=5):
        pass


def test_api_names_certificates_and_metadata_are_there(running: Running) -> None:
    assert "starting the local cloud" in running.said
    assert running.call("GET", "account")["account"]["status"] == "active"
    assert [domain["name"] for domain in running.call("GET", "domains")["domains"]] == [running.cloud.zone]
    reply = DNSRecord.parse(DNSRecord.question(running.cloud.zone, "SOA").send(running.cloud.resolver, timeout=5))
    assert reply.header.aa
    assert "newOrder" in running.acme()
    assert len(running.roots()) == 1
    # Machines use 169.254.169.254; nobody uses the service's real address.
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://{running.cloud.resolver}:{METADATA_PORT}/metadata/v1/", trust_env=False)
    assert (running.state / "cloud" / "token").stat().st_mode & 0o777 == 0o600
    assert running.cloud.token not in running.cloud.log.read_text()


def test_names_of_the_zone_resolve_on_this_host(running: Running) -> None:
    name = f"unit-{os.getpid()}"
    record = running.call(
        "POST", f"domains/{running.cloud.zone}/records", {"type": "A", "name": name, "data": "10.101.0.9"}
    )["domain_record"]
    eventually(lambda: _address(f"{name}.{running.cloud.zone}") == "10.101.0.9")
    running.call("DELETE", f"domains/{running.cloud.zone}/records/{record['id']}")
    eventually(lambda: _address(f"{name}.{running.cloud.zone}") != "10.101.0.9")


def _address(name: str) -> str | None:
    """As in /etc/hosts: this host's resolver may not know the name."""
    for line in Path("/etc/hosts").read_text().splitlines():
        if name in line.split():
            return line.split()[0]
    return None


def test_a_cloud_that_runs_is_found_not_started(running: Running) -> None:
    before = running.facts
    assert running.again() == running.cloud
    assert running.facts == before
    assert running.said == []
    assert local.status(running.state) == local.LocalCloudStatus(True, running.cloud.endpoint, ())


def test_killed_server_returns_and_takes_over_what_runs(running: Running) -> None:
    pebble, pid = running.pebble, running.facts["pid"]
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not local.status(running.state).running)
    assert running.again() == running.cloud
    assert running.said == ["starting the local cloud"]
    assert running.facts["pid"] != pid
    assert running.pebble == pebble
    assert len(running.roots()) == 1


def test_a_server_of_other_code_is_replaced(running: Running) -> None:
    path = running.state / "cloud" / "server.json"
    old = running.facts
    path.write_text(json.dumps({**old, "source": "another"}))
    assert running.again() == running.cloud
    assert running.facts["pid"] != old["pid"]
    assert running.facts["source"] == old["source"]
    assert not Path(f"/proc/{old['pid']}").exists() or "Z" in Path(f"/proc/{old['pid']}/stat").read_text()


def test_killed_ca_returns_and_browsers_trust_both_roots(running: Running) -> None:
    pebble, known = running.pebble, len(running.roots())
    os.kill(pebble, signal.SIGKILL)
    eventually(lambda: running.pebble != pebble)
    eventually(lambda: len(running.roots()) == known + 1)
    assert "newOrder" in running.acme()


def test_the_roots_key_is_for_root_alone(running: Running) -> None:
    """With the root's key, anybody could be any site for a browser that trusts the root."""
    line = f"/dev/tcp/{Identity.of(running.state).keys_address}/{KEYS_PORT}"
    ask = ["bash", "-c", f"exec 3<>{line} && echo connected"]
    assert subprocess.run(ask, capture_output=True, text=True, check=True).stdout == "connected\n"
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *ask]
    assert "Connection refused" in subprocess.run(nobody, capture_output=True, text=True, check=False).stderr
    assert {path.name for path in (running.state / "cloud/pebble").iterdir() if path.stat().st_mode & 0o004} <= {
        "acme-ca.pem",
        "ca-bundle.pem",
        "https.pem",
        "pebble.log",
        "process.json",
    }


def test_the_root_vouches_for_the_clouds_names_alone(running: Running) -> None:
    def permitted() -> set[str]:
        constraints = running.roots()[-1].extensions.get_extension_for_class(x509.NameConstraints)
        assert constraints.critical
        return {name.value for name in constraints.value.permitted_subtrees or []}

    assert "test" in permitted() and "com" not in permitted()
    zone = f"unit-{os.getpid()}.edu"
    running.call("POST", "domains", {"name": zone})
    try:
        eventually(lambda: zone in permitted())
    finally:
        running.call("DELETE", f"domains/{zone}")
    eventually(lambda: zone not in permitted())


def test_unknown_image_is_refused_and_droplet_can_be_deleted(running: Running) -> None:
    answer = httpx.post(
        f"{running.cloud.endpoint}droplets",
        json={**ORDER, "image": "windows-95"},
        headers={"Authorization": f"Bearer {running.cloud.token}"},
        trust_env=False,
    )
    assert answer.status_code == 422
    assert running.call("GET", "droplets")["droplets"] == []


def test_a_second_server_of_the_same_cloud_gives_way(running: Running) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "runner.local.server", "--state", str(running.state)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPO)},
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "cannot serve: " in done.stderr
    assert "Traceback" not in done.stderr
    assert running.call("GET", "account")


def test_server_without_a_record_ends_and_the_next_takes_over(running: Running) -> None:
    pebble, pid = running.pebble, running.facts["pid"]
    (running.state / "cloud" / "server.json").unlink()
    eventually(lambda: _ended(pid))
    running.cloud = running.again()
    assert running.said == ["starting the local cloud"]
    assert running.pebble == pebble
    assert running.call("GET", "account")


def test_server_removes_its_cloud_when_its_directory_is_gone(tmp_path: Path) -> None:
    """By hand, or by a stop that missed a server that was just starting: nobody could find it any more."""
    state = tmp_path / "state"
    cloud = Running(state, local.ensure_running(state, print), [])
    processes = [process for pid in (cloud.facts["pid"], cloud.pebble) if (process := ProcessId.of(pid))]
    try:
        shutil.rmtree(state)
        eventually(lambda: not any(process.alive() for process in processes))
        eventually(lambda: traces_of(state) == {})
        assert not state.exists()
    finally:
        for process in processes:
            process.signal(signal.SIGKILL)
        local.stop(state, print)


def test_a_server_knows_its_directory_by_itself_not_by_its_path(tmp_path: Path) -> None:
    directory = tmp_path / "cloud"
    directory.mkdir()
    descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY)
    home = Path(f"/proc/self/fd/{descriptor}")
    try:
        assert not server._is_recorded(home)
        (directory / "server.json").write_text(json.dumps({"pid": os.getpid()}))
        assert server._is_recorded(home)
        # It was moved, so the server must not delete anything of it.
        directory.rename(tmp_path / "moved")
        assert server._is_recorded(home)
        (tmp_path / "moved" / "server.json").write_text("{")
        assert server._is_recorded(home)
        (tmp_path / "moved" / "server.json").write_text(json.dumps({"pid": 1}))
        assert not server._is_recorded(home)
        # What a starting server wrote at the path after a stop belongs to nobody.
        shutil.rmtree(tmp_path / "moved")
        directory.mkdir()
        (directory / "server.json").write_text(json.dumps({"pid": os.getpid()}))
        assert not server._is_recorded(home)
    finally:
        os.close(descriptor)


def _ended(pid: int) -> bool:
    process = ProcessId.of(pid)
    return process is None or not process.alive()


def test_an_interrupted_start_leaves_no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt

    children: list[subprocess.Popen[bytes]] = []

    def popen(_argv: list[str], **options: Any) -> subprocess.Popen[bytes]:
        children.append(subprocess.Popen(["sleep", "60"], **options))
        return children[0]

    identity = Identity.of(tmp_path)
    identity.directory.mkdir()
    monkeypatch.setattr(starting, "subprocess", SimpleNamespace(Popen=popen, DEVNULL=subprocess.DEVNULL))
    monkeypatch.setattr(starting, "time", SimpleNamespace(sleep=interrupt, monotonic=time.monotonic))
    try:
        with pytest.raises(KeyboardInterrupt):
            starting._start(identity)
        assert children[0].returncode == -signal.SIGKILL
    finally:
        children[0].kill()
        children[0].wait()


def test_status_and_start_by_hand(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "project", lambda: SimpleNamespace(state=running.state))
    commands = cli.commands
    started = CliRunner().invoke(commands, ["start", "--json"])
    assert json.loads(started.stdout) == {"running": True, "endpoint": running.cloud.endpoint, "machines": []}
    shown = CliRunner().invoke(commands, ["status"])
    assert shown.stdout == f"local cloud: running, {running.cloud.endpoint}\n"


def test_a_cloud_that_cannot_start_says_why_and_where_its_log_is(tmp_path: Path) -> None:
    state = tmp_path / "state"
    (state / "cloud").mkdir(parents=True)
    (state / "cloud" / "account.json").write_text("{")
    try:
        with pytest.raises(CoursehubError, match=r"the local cloud did not start: .*; its log is .*server\.log"):
            local.ensure_running(state, print)
    finally:
        (state / "cloud" / "account.json").unlink()
        local.stop(state, print)
    assert traces_of(state) == {}


def test_a_port_that_was_taken_meanwhile_is_given_up(tmp_path: Path) -> None:
    """The old address is kept if possible, and it is no problem if not."""
    state = tmp_path / "state"
    (state / "cloud").mkdir(parents=True)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        (state / "cloud" / "server.json").write_text(json.dumps({"port": port, "pid": 1, "started": 0}))
        try:
            assert f":{port}/" not in local.ensure_running(state, print).endpoint
        finally:
            local.stop(state, print)
    assert traces_of(Identity.of(state).state) == {}
