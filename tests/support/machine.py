"""A course's server seen from its host: faults of a machine, caused from outside and without SSH."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import digitalocean
import psutil
import pytest

from runner import local
from runner.local.identity import Identity
from runner.servers.access import THIN_DIR, Access
from runner.session import connect
from runner.verbs.up import make_server
from tests.support.sandbox import Sandbox

_RUNNING = re.compile(r"^Running state \[(.*)\] at time ", re.MULTILINE)


def course(sandbox: Sandbox, name: str) -> str:
    """Another course like the demo, on its own machine."""
    if not sandbox.project.course_file(name).exists():
        sandbox.copy_course("demo", name, **{sandbox.domain("demo"): f"{name}-{os.getpid()}.coursehub.test"})
    return name


def fresh_server(sandbox: Sandbox, name: str) -> Machine:
    """The course's server as it is before the first highstate of ``up``."""
    course(sandbox, name)
    session = connect(sandbox.project, name, print)
    ip = str(make_server(session, lambda _: None).ip)
    session.write_pillar(ip)
    return Machine.of(sandbox, name)


@dataclass(frozen=True)
class Machine:
    """One machine of a sandbox's local cloud; ``home`` is its directory on the host."""

    sandbox: Sandbox
    course: str
    ip: str
    home: Path
    netns: str

    @classmethod
    def of(cls, sandbox: Sandbox, name: str) -> Machine:
        server = Access(sandbox.project, name).server()
        assert server is not None
        identity = Identity.of(sandbox.project.state)
        return cls(
            sandbox, name, str(server.ip), identity.data / "machines" / str(server.id), identity.netns(server.id)
        )

    def droplet(self) -> digitalocean.Droplet:
        """The machine as its provider's API has it."""
        here = local.ensure_running(self.sandbox.project.state, lambda _: None)
        return digitalocean.Droplet(token=here.token, end_point=here.endpoint, id=int(self.home.name))

    @property
    def root(self) -> Path:
        """The machine's files, as seen from the host."""
        return self.home / "root"

    def run(self, script: str, seconds: int = 120) -> str:
        """Run a shell script as root by SSH."""
        return self.sandbox.on_server(self.course, script, seconds)

    # -- what runs on it ---------------------------------------------------------------------------------

    def processes(self) -> list[psutil.Process]:
        """All processes of the machine; empty if it is off."""
        try:
            return self._nspawn().children(recursive=True)
        except (OSError, ValueError, psutil.NoSuchProcess):
            return []

    def salt_runs(self) -> bool:
        """Whether a highstate runs on the machine now."""
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                if f"{THIN_DIR}/salt-call" in " ".join(process.cmdline()):
                    return True
        return False

    def states_started(self) -> list[str]:
        """The names of the started states, in their order, in the highstate that the runner watches."""
        log = self.root / THIN_DIR.lstrip("/") / "running_data" / "highstate.log"
        try:
            return _RUNNING.findall(log.read_text(encoding="utf-8", errors="replace"))
        except OSError:
            return []

    def states_shipped(self) -> int:
        """The number of states in the highstate that was sent last."""
        archive = self.root / THIN_DIR.lstrip("/") / "salt_state.tgz"
        done = subprocess.run(["tar", "-xzOf", str(archive), "lowstate.json"], capture_output=True, check=True)
        return len(json.loads(done.stdout))

    def building(self) -> Path | None:
        """The course's environment that is being made and not used yet."""
        with contextlib.suppress(OSError):
            for path in (self.root / "opt/course/envs").iterdir():
                if path.is_dir() and not (path / ".complete").exists():
                    return path
        return None

    def wait_in_highstate(
        self, process: subprocess.Popen[str], when: Callable[[list[str]], bool], seconds: float = 300
    ) -> None:
        """Wait until ``when`` is true for the started states, in the highstate of a running verb."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            states = self.states_started()
            # Both are needed: after a machine died, its list of started states stays until the next highstate begins.
            if states and when(states) and self.salt_runs():
                return
            if process.poll() is not None:
                pytest.fail(f"it ended before that point of the highstate: {process.communicate()}")
            time.sleep(0.02)
        pytest.fail(f"that point of the highstate did not come within {seconds:.0f} s: {self.states_started()}")

    # -- what befalls it ---------------------------------------------------------------------------------

    def kill(self) -> None:
        """Kill every process of the machine at once; the cloud boots it again."""
        nspawn = self._nspawn()
        # The machine's PID 1, with which the kernel ends all others; it would survive nspawn.
        for init in nspawn.children():
            init.kill()
        with contextlib.suppress(psutil.NoSuchProcess):
            nspawn.kill()

    @contextlib.contextmanager
    def packets(self, *rules: str) -> Iterator[None]:
        """Apply these nftables rules in the machine's network for the duration of the block, before any firewall."""
        self._nft("add table inet fault")
        try:
            for hook in ("input", "output"):
                self._nft(f"add chain inet fault {hook} {{ type filter hook {hook} priority -300; }}")
            for rule in rules:
                self._nft(f"add rule inet fault {rule}")
            yield
        finally:
            self._nft("delete table inet fault")

    def cut_ssh(self) -> contextlib.AbstractContextManager[None]:
        """Drop every packet of SSH silently, like a pulled cable."""
        return self.packets("input tcp dport 22 drop", "output tcp sport 22 drop")

    def index_down(self) -> contextlib.AbstractContextManager[None]:
        """Reset all HTTPS connections, even in the middle of a download; Debian's mirror keeps working over HTTP."""
        return self.packets("output ip daddr != 127.0.0.0/8 tcp dport 443 reject with tcp reset")

    def _nspawn(self) -> psutil.Process:
        record = json.loads((self.home / "process.json").read_text(encoding="utf-8"))
        return psutil.Process(record["pid"])

    def _nft(self, command: str) -> None:
        # The machine's own nft, if it has one: the host's may be older and crash on a newer one's rules.
        own = ["chroot", str(self.root), "/usr/sbin/nft"] if (self.root / "usr/sbin/nft").exists() else ["nft"]
        subprocess.run(["ip", "netns", "exec", self.netns, *own, command], check=True, capture_output=True)


def kill_with_children(process: subprocess.Popen[str]) -> None:
    """kill -9 the runner and all its children, as when a laptop is shut."""
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    for member in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()
    process.communicate()


def one_line(done: subprocess.CompletedProcess[str], *says: str) -> str:
    """The single error line of a failed verb; the test fails if there are more or none."""
    told = [line for line in done.stderr.splitlines() if line.startswith("coursehub: ")]
    assert done.returncode == 1, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert len(told) == 1, done.stderr
    assert done.stderr.strip().splitlines()[-1] == told[0], done.stderr
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    for part in says:
        assert part in told[0], told[0]
    return told[0]
