"""A kitchen machine: made by the local cloud or an existing host, reached with one ``ssh_config``."""

from __future__ import annotations

import io
import json
import shlex
import subprocess
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from runner import local
from runner.cloud import Cloud, Order, Server, record_of
from runner.errors import USAGE, CoursehubError
from runner.files import write_private
from runner.project import Project
from runner.saltssh.pillar import host_ca_certificates
from runner.servers import droplets
from runner.servers.access import Access
from tests.kitchen.wrapper.config import Instance

Report = Callable[[str], None]

#: Test Kitchen's names for an instance's progress.
CREATED, CONVERGED, VERIFIED = "Create", "Converge", "Verify"

#: Each try is several requests of some seconds (runner.cloud), so together they take some minutes.
DELETE_TRIES = 3
#: A Unix socket's path has at most 107 bytes; ssh adds 18 while it creates it.
_SOCKET_PATH = 107 - 18
_TRUST = """
set -eu
tar -C /usr/local/share/ca-certificates -xf -
update-ca-certificates >/dev/null
"""


@dataclass(frozen=True)
class Machine:
    """An instance's machine. The fields are Test Kitchen's state file, which its verifier passes on as KITCHEN_*."""

    hostname: str
    username: str
    port: int
    ssh_key: str
    ssh_config: str
    ca_bundle: str
    last_action: str
    own: bool
    """Whether it is somebody's own host, which we neither made nor delete."""

    def environment(self, instance: Instance) -> dict[str, str]:
        """The variables that the shell verifier sets (``Kitchen::Verifier::Shell#merge_state_to_env``)."""
        named = {
            "KITCHEN_INSTANCE": instance.name,
            "KITCHEN_PLATFORM": instance.platform,
            "KITCHEN_SUITE": instance.suite,
            "KITCHEN_ZONE": instance.zone,
        }
        return named | {f"KITCHEN_{key.upper()}": str(value) for key, value in asdict(self).items() if value != ""}


class Machines:
    """All machines in one state directory."""

    def __init__(self, state: Path, report: Report) -> None:
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.project = Project(state)
        self.report = report

    def _record(self, name: str) -> Path:
        return self.project.state / "instances" / f"{name}.json"

    def _ssh_config(self, name: str) -> Path:
        return self.project.state / "instances" / f"{name}.ssh"

    def find(self, instance: Instance) -> Machine | None:
        """The instance's machine, or None if it was not created."""
        try:
            return Machine(**json.loads(self._record(instance.name).read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None

    def is_own(self, instance: Instance) -> bool:
        """Whether the instance uses an existing host, whose names in DNS are those of the file."""
        machine = self.find(instance)
        return machine is not None and machine.own

    def note(self, instance: Instance, machine: Machine, action: str) -> Machine:
        """Store the instance's progress."""
        noted = replace(machine, last_action=action)
        write_private(self._record(instance.name), json.dumps(asdict(noted)))
        return noted

    def argv(self, instance: Instance, *command: str) -> list[str]:
        """The ssh command line to an instance that was created."""
        return ["ssh", "-F", str(self._ssh_config(instance.name)), instance.name, *command]

    def run(self, instance: Instance, script: str, *, data: bytes = b"", seconds: int = 120) -> str:
        """Run a shell script as root with ``data`` on its standard input; return its output.

        Raises CoursehubError with the script's last output if it fails.
        """
        done = self.ask(instance, script, data=data, seconds=seconds)
        if done.returncode:
            last = (done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"])[-1]
            raise CoursehubError(f"{instance.name}: {last}; correct it, then run the same command again")
        return done.stdout.decode()

    def ask(
        self, instance: Instance, script: str, *, data: bytes = b"", seconds: int = 120
    ) -> subprocess.CompletedProcess[bytes]:
        """The same without checking the exit code. Raises CoursehubError if there is no answer in time."""
        root = "" if instance.transport.username == "root" else "sudo -E "
        command = f"{root}sh -c {shlex.quote(script)}"
        try:
            return subprocess.run(
                self.argv(instance, command), input=data, capture_output=True, timeout=seconds, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise CoursehubError(
                f"{instance.name}: no answer within {seconds} s; log in with {shlex.join(self.argv(instance))}"
            ) from error

    def _write_ssh_config(self, instance: Instance, address: str, options: Mapping[str, str]) -> Path:
        path = self._ssh_config(instance.name)
        shared = self.project.state / "ssh" / instance.name
        shared.parent.mkdir(mode=0o700, exist_ok=True)
        fits = len(str(shared)) <= _SOCKET_PATH
        known = {
            "HostName": address,
            "User": instance.transport.username,
            "Port": str(instance.transport.port),
            "IdentitiesOnly": "yes",
            "BatchMode": "yes",
            "ConnectTimeout": "10",
            "ServerAliveInterval": "10",
            "LogLevel": "ERROR",
            **options,
            "ControlMaster": "auto" if fits else "no",
            "ControlPersist": "60",
            "ControlPath": str(shared) if fits else "none",
        }
        lines = [f"Host {instance.name}", *(f"  {key} {value}" for key, value in known.items())]
        write_private(path, "\n".join(lines) + "\n")
        return path

    def _hang_up(self, instance: Instance) -> None:
        if self._ssh_config(instance.name).exists():
            subprocess.run(
                ["ssh", "-F", str(self._ssh_config(instance.name)), "-O", "exit", instance.name],
                capture_output=True,
                check=False,
            )

    def adopt(self, instance: Instance, address: str, key: Path, known_hosts: Path) -> Machine:
        """Use an existing host. Its host key must be in ``known_hosts``: no trust on first use."""
        options = {
            "IdentityFile": str(key),
            "UserKnownHostsFile": str(known_hosts),
            "StrictHostKeyChecking": "yes",
            "UpdateHostKeys": "no",
        }
        config = self._write_ssh_config(instance, address, options)
        self.run(instance, "true", seconds=30)
        transport = instance.transport
        machine = Machine(address, transport.username, transport.port, str(key), str(config), "", CREATED, True)
        return self.note(instance, machine, CREATED)

    def create(self, instance: Instance) -> Machine:
        """A new machine of the local cloud, verified by its known host key; an existing one is kept.

        The certificate authorities of this computer's network are installed first, unless the suite's own pillar does
        so, and DNS points the names of its pillar at the machine.
        """
        found = self.find(instance)
        if found is not None:
            return found
        here, cloud = self._cloud()
        local.prepare_image(instance.image, self.report)
        access = Access(self.project, instance.name)
        # Continue an interrupted create: its keys are here.
        server = droplets.single(cloud, access, self.report) or droplets.order(
            cloud,
            access,
            Order(instance.name, instance.name, instance.driver.size, instance.image, instance.driver.region),
            self.report,
        )
        server = cloud.wait_active(instance.name, server, lambda _: None)
        address = str(server.ip)
        access.remember(server)
        for hostname in instance.hostnames:
            zone = cloud.zone_of(hostname)
            if zone is None:
                raise CoursehubError(
                    f"{instance.name}: {hostname} is not below {here.zone}; rename it", exit_code=USAGE
                )
            cloud.ensure_record(zone, record_of(hostname, address))
        access.first_contact(address, self.report)
        options = dict(option.split("=", 1) for option in access.options())
        config = self._write_ssh_config(instance, address, {"IdentityFile": str(access.key_file), **options})
        machine = Machine(address, "root", 22, str(access.key_file), str(config), str(here.ca_bundle), CREATED, False)
        if not instance.sees("network.sls"):
            self._trust(instance, self._authorities(here))
        return self.note(instance, machine, CREATED)

    def _cloud(self) -> tuple[local.LocalCloud, Cloud]:
        here = local.ensure_running(self.project.state, self.report)
        return here, Cloud("the local cloud", here.endpoint, here.token)

    def _authorities(self, here: local.LocalCloud) -> dict[str, str]:
        return {**host_ca_certificates(), "kitchen-local-acme": here.acme_ca.read_text(encoding="ascii")}

    def _trust(self, instance: Instance, authorities: Mapping[str, str]) -> None:
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            for name, pem in authorities.items():
                member = tarfile.TarInfo(f"{name}.crt")
                member.size, member.mode = len(pem), 0o644
                archive.addfile(member, io.BytesIO(pem.encode("ascii")))
        self.run(instance, _TRUST, data=packed.getvalue())

    def pillars(self, machine: Machine) -> dict[str, Any]:
        """What the local cloud's network adds to these pillar files; nothing for an existing host."""
        if machine.own:
            return {}
        here, _ = self._cloud()
        return {
            "network.sls": {"base": {"extra_ca": self._authorities(here)}},
            "acme.sls": {"letsencrypt": {"directory": here.acme_directory, "addresses": [machine.hostname]}},
        }

    def destroy(self, instance: Instance) -> bool:
        """Delete the machine and its state; return whether there was one. An existing host is only forgotten."""
        machine = self.find(instance)
        access = Access(self.project, instance.name)
        ours = machine is None or not machine.own
        there = machine is not None or access.has_first_host_key() or access.server() is not None
        self._hang_up(instance)
        if there and ours:
            _, cloud = self._cloud()
            for server in droplets.found(cloud, access, self.report):
                for hostname in instance.hostnames:
                    zone = cloud.zone_of(hostname)
                    if zone and server.ip:
                        cloud.remove_record(zone, record_of(hostname, server.ip))
                self._delete(cloud, server)
            cloud.remove_keys(access.alias)
            access.forget_server()
        for path in (self._record(instance.name), self._ssh_config(instance.name)):
            path.unlink(missing_ok=True)
        return there

    def _delete(self, cloud: Cloud, server: Server) -> None:
        """Delete a droplet; on a busy disk, deleting its files takes longer than one request may."""
        for attempt in range(1, DELETE_TRIES + 1):
            try:
                cloud.destroy(server, self.report)
                return
            except CoursehubError:
                if attempt == DELETE_TRIES:
                    raise
                self.report("the machine's files are still being deleted")

    def close(self) -> None:
        """Stop the local cloud if it has no machine any more."""
        if not local.status(self.project.state).machines:
            local.stop(self.project.state, self.report)
