"""Real servers for backups: sshd on a machine of its own, S3, and REST that deletes nothing."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from coursehub_backup import notation
from coursehub_backup.config import Target

from runner.audit import debian
from runner.audit.subject import ScanFailed
from runner.local import images
from runner.local.cgroups import Limits
from runner.local.machine import MachineSpec
from runner.servers.access import KeyPair
from tests.support.computer import Computers
from tests.support.sandbox import REPO

KINDS = ("sftp", "s3", "rest")
#: The S3 server, from the Python index; only tests on loopback use it.
MOTO = "moto[s3,server]==5.2.5"
#: Seconds until a server answers on a busy computer.
READY = 180
_USER, _UID, _IMAGE = "hub", 2000, "debian-13-x64"


@dataclass
class Served:
    """A target that answers, as the pillar has it."""

    name: str
    given: dict[str, Any]
    again: Callable[[], subprocess.Popen[bytes]] | None = field(default=None, repr=False)
    """Starts a server that is a program on this computer, and returns its process."""
    cable: Callable[[str], None] | None = field(default=None, repr=False)
    """Sets the network of one that is a machine ``up`` or ``down``."""
    process: subprocess.Popen[bytes] | None = None

    def target(self, place: Path) -> Target:
        """The target, with the files that Salt would write in ``place``."""
        if self.given["kind"] == "sftp":
            (place / "keys").mkdir(exist_ok=True)
            (place / "keys" / self.name).write_text(self.given["key"])
            (place / "keys" / self.name).chmod(0o400)
            (place / "known_hosts").write_text(f"{self.name} {self.given['host_key']}\n")
        append_only = bool(self.given.get("append_only"))
        return Target(self.name, *notation.words(self.name, self.given, place), append_only=append_only)

    def start(self) -> None:
        """Start it, or again after ``kill``."""
        if self.cable:
            self.cable("up")
        if self.again:
            self.process = self.again()

    def kill(self) -> None:
        """End it at once; a machine stays out of reach."""
        if self.cable:
            self.cable("down")
        if self.process:
            self.process.kill()
            self.process.wait()

    def pause(self) -> None:
        """Let it answer nothing until ``resume``."""
        if self.cable:
            self.cable("down")
        if self.process:
            self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """After ``pause``."""
        if self.cable:
            self.cable("up")
        if self.process:
            self.process.send_signal(signal.SIGCONT)


@contextlib.contextmanager
def served(kind: str, directory: Path) -> Iterator[Served]:
    """One of the KINDS. Skips the test where its program cannot be fetched."""
    directory.mkdir()
    with {"sftp": _sftp, "s3": _s3, "rest": _rest}[kind](directory) as found:
        found.start()
        try:
            yield found
        finally:
            found.kill()


@contextlib.contextmanager
def _sftp(directory: Path) -> Iterator[Served]:
    client, server = KeyPair.generate("coursehub-physics-office"), KeyPair.generate("office")
    with Computers.on(directory) as machines:
        first = directory / "computer-1" / "first"
        passwd = (images.base_image(_IMAGE, print) / "etc/passwd").read_text()
        home = first / "home" / _USER
        (home / ".ssh").mkdir(parents=True)
        (home / "backups").mkdir()
        (first / "etc").mkdir()
        (first / "etc/passwd").write_text(f"{passwd}{_USER}:x:{_UID}:{_UID}::/home/{_USER}:/bin/sh\n")
        # An account without a password, not a locked one: sshd refuses those.
        shadow = (images.base_image(_IMAGE, print) / "etc/shadow").read_text()
        (first / "etc/shadow").write_text(f"{shadow}{_USER}:*:20000:0:99999:7:::\n")
        (first / "etc/shadow").chmod(0o640)
        # As the line that `up` tells a teacher to paste.
        (home / ".ssh/authorized_keys").write_text(f'restrict,command="internal-sftp" {client.public}\n')
        subprocess.run(["chown", "-R", f"{_UID}:{_UID}", str(home)], check=True)
        keys = {"ed25519_private": server.private, "ed25519_public": server.public}
        data = yaml.safe_dump({"ssh_keys": keys})
        spec = MachineSpec(1, 10, "office", _IMAGE, Limits(1 << 30, 1), 10, data, ())
        machines.start(spec)
        address = machines.address(spec.slot)
        _wait((address, 22))
        given = {
            **{"kind": "sftp", "host": address, "user": _USER, "path": f"/home/{_USER}/backups"},
            **{"host_key": " ".join(server.public.split()[:2]), "key": client.private},
        }

        def cable(state: str) -> None:
            network = machines.namespace(spec.droplet_id)
            subprocess.run(["ip", "-n", network, "link", "set", "eth0", state], check=True)

        yield Served("office", given, cable=cable)


@contextlib.contextmanager
def _s3(directory: Path) -> Iterator[Served]:
    port = _free_port()
    argv = [_moto(), "-H", "127.0.0.1", "-p", str(port)]

    given = {
        **{"kind": "s3", "endpoint": f"http://127.0.0.1:{port}", "bucket": "backups/physics"},
        **{"access_key": "EXAMPLE", "secret": "a-secret-key"},
    }
    yield Served("bucket", given, lambda: _start(directory, argv, port))


@contextlib.contextmanager
def _rest(directory: Path) -> Iterator[Served]:
    port, files = _free_port(), directory / "files"
    files.mkdir()
    argv = [_rclone(), "serve", "restic", "--append-only", "--addr", f"127.0.0.1:{port}"]
    argv += ["--user", "hub", "--pass", "a-password", "--config", str(directory / "rclone.conf"), str(files)]

    given = {
        **{"kind": "rest", "endpoint": f"http://127.0.0.1:{port}/", "access_key": "hub"},
        **{"secret": "a-password", "append_only": True},
    }
    yield Served("vault", given, lambda: _start(directory, argv, port))


def _start(directory: Path, argv: list[str], port: int) -> subprocess.Popen[bytes]:
    """Start a target's server, and wait until it listens."""
    with (directory / "log").open("ab") as log:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    _wait(("127.0.0.1", port))
    return process


def _moto() -> str:
    home = REPO / ".coursehub/tests/moto"
    program = home / "bin/moto_server"
    if not program.exists():
        uv = str(Path(sys.executable).parent / "uv")
        shutil.rmtree(home, ignore_errors=True)
        subprocess.run([uv, "venv", "--quiet", str(home)], check=True)
        done = subprocess.run(
            [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", str(home / "bin/python"), MOTO],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            shutil.rmtree(home)
            pytest.skip(f"no S3 server: {done.stderr.strip().splitlines()[-1]}")
    return str(program)


def _rclone() -> str:
    own = shutil.which("rclone")
    if own:
        return own
    try:
        return str(debian.unpacked(REPO, "rclone", ["rclone"], "rclone") / "usr/bin/rclone")
    except ScanFailed as error:
        pytest.skip(f"no REST server: {error}")


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _wait(address: tuple[str, int]) -> None:
    deadline = time.monotonic() + READY
    while True:
        try:
            socket.create_connection(address, 5).close()
        except OSError as error:
            assert time.monotonic() < deadline, f"{address} did not answer within {READY} s: {error}"
            time.sleep(0.2)
        else:
            return
