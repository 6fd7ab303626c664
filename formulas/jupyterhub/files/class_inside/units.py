"""The systemd units of a person's server: a socket that belongs to root, and the service that gets it from systemd.

The service never makes its own socket, so nothing that runs as the person has any right in the sockets' directory. The
socket is bound to the service: it disappears when the service ends, and no request starts the service again.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path


class UnitError(Exception):
    """systemd did not start a unit; the message is systemd's."""


class Ended(Exception):
    """A service ended while it started; the message is the unit's name."""


@dataclass(frozen=True)
class Server:
    """The facts of a unit. ``properties`` are systemd's, by name; a list has a value for each line."""

    unit: str
    uid: int
    gid: int
    home: str
    slice: str
    socket: Path
    socket_group: str
    environment_file: Path
    properties: Mapping[str, str | list[str]]
    argv: list[str]

    def command(self) -> list[str]:
        """Return the systemd-run command that starts socket and service."""
        socket = {
            "ListenStream": str(self.socket),
            "SocketUser": "root",
            "SocketGroup": self.socket_group,
            "SocketMode": "0660",
            # More than the concurrent requests of Lab, from all tabs of a student and of a visiting teacher.
            "Backlog": "512",
            "RemoveOnStop": "yes",
            "BindsTo": f"{self.unit}.service",
            # A failed unit is removed at once: otherwise its name would still be taken at the next start.
            "CollectMode": "inactive-or-failed",
        }
        service = {
            **self.properties,
            "CollectMode": "inactive-or-failed",
            "EnvironmentFile": str(self.environment_file),
        }
        return [
            "systemd-run",
            "--quiet",
            f"--unit={self.unit}",
            f"--slice={self.slice}",
            f"--uid={self.uid}",
            f"--gid={self.gid}",
            f"--working-directory={self.home}",
            *(f"--socket-property={line}" for line in lines(socket)),
            *(f"--property={line}" for line in lines(service)),
            "--",
            *self.argv,
        ]


def lines(properties: Mapping[str, str | list[str]]) -> Iterable[str]:
    """Yield NAME=VALUE for each value."""
    for name, values in properties.items():
        for value in [values] if isinstance(values, str) else values:
            yield f"{name}={value}"


async def start(server: Server) -> None:
    """Start the units. Raises UnitError if systemd refuses."""
    code, said = await run(*server.command())
    if code:
        raise UnitError(said or f"systemd-run ended with {code}")


async def stop(unit: str) -> None:
    """Stop service and socket, and reset their failed state. A unit that does not exist counts as stopped."""
    both = (f"{unit}.service", f"{unit}.socket")
    await run("systemctl", "stop", *both)
    await run("systemctl", "reset-failed", *both)


async def runs(unit: str) -> bool:
    """Return whether the service is up."""
    code, _ = await run("systemctl", "is-active", "--quiet", f"{unit}.service")
    return code == 0


async def ended(unit: str) -> bool:
    """Return whether systemd says that the service is not up. If systemd does not answer, return False."""
    code, _ = await run("systemctl", "is-active", "--quiet", f"{unit}.service")
    return code in (3, 4)


async def run(*argv: str) -> tuple[int, str]:
    """Return a program's exit code and its output, in one line."""
    process = await asyncio.create_subprocess_exec(
        *argv, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await process.communicate()
    return process.returncode or 0, " ".join(said.decode(errors="replace").split())
