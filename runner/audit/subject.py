"""The subject of an audit: one course's hub, SSH to its server, and the scanners' environment."""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from runner.audit.tools import Tools
from runner.errors import CoursehubError
from runner.hub.checks import Target
from runner.project import Project
from runner.servers.access import Access


class ScanFailed(CoursehubError):
    """A scanner gave no figure; the message says why in one line."""


@dataclass(frozen=True)
class Subject:
    """One hub. ``release`` is the server's, such as ``debian-13``; ``ipv6`` are its global addresses."""

    project: Project
    course_id: str
    access: Access
    target: Target
    tools: Tools
    container: bool
    release: str
    ipv6: tuple[str, ...]

    @property
    def hostname(self) -> str:
        """The hub's own name."""
        return self.target.hostnames[0]

    def run(self, script: str, *, seconds: int = 120) -> str:
        """Run a shell script as root on the server. Raises CoursehubError if it fails."""
        return self.access.run(self.target.ip, script, seconds=seconds)

    @contextmanager
    def room(self, contents: Iterable[tuple[Path, str]] = ()) -> Iterator[str]:
        """A root-owned directory on the server with ``contents`` (local path, name there), deleted at the end of the
        block.
        """
        name = self.run("umask 077; mktemp -d /root/coursehub-audit.XXXXXXXX").strip()
        try:
            self._ship(contents, name)
            yield name
        finally:
            self.run(f"rm -rf {name}")

    def _ship(self, contents: Iterable[tuple[Path, str]], name: str) -> None:
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as archive:
            for path, arcname in contents:
                archive.add(path, arcname, filter=_roots_own)
        done = subprocess.run(
            self.access.argv(self.target.ip, "tar", "-C", name, "-xzf", "-"),
            input=packed.getvalue(),
            capture_output=True,
            timeout=300,
            check=False,
        )
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip()
            raise ScanFailed(f"the scanner could not be sent to the server: {said[:200]}")

    def fetch(self, path: str) -> bytes:
        """Read a file of the server."""
        done = subprocess.run(
            self.access.argv(self.target.ip, "cat", path),
            capture_output=True,
            timeout=120,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        if done.returncode:
            raise ScanFailed(f"{path} could not be read: {done.stderr.decode(errors='replace').strip()[:200]}")
        return done.stdout


def _roots_own(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    # Scanners refuse files that somebody else could have changed.
    entry.uid = entry.gid = 0
    entry.mode &= 0o755
    return entry


def program(
    argv: list[str], *, seconds: int, text: str = "", env: dict[str, str] | None = None
) -> tuple[int, str, str]:
    """Run a scanner on this computer; return its exit code, output and errors. Raises ScanFailed if it does not end."""
    try:
        done = subprocess.run(
            argv, input=text, capture_output=True, text=True, errors="replace", timeout=seconds, check=False, env=env
        )
    except subprocess.TimeoutExpired:
        raise ScanFailed(f"{Path(argv[0]).name} did not end within {seconds} s") from None
    return done.returncode, done.stdout, done.stderr
