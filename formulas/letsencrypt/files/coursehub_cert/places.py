"""Paths, and one way to write a file."""

from __future__ import annotations

from pathlib import Path

CONFIG = Path("/etc/coursehub/cert.json")
STATE = Path("/var/lib/coursehub/cert")
CARRIED = STATE / "carried.json"
LETSENCRYPT = Path("/etc/letsencrypt")
#: The command that certbot's hooks call.
COMMAND = "/usr/local/sbin/coursehub-cert"


def write_atomically(path: Path, text: str, mode: int = 0o600) -> None:
    """Replace a file in one step; a killed run leaves the old one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".new")
    temporary.write_text(text)
    temporary.chmod(mode)
    temporary.replace(path)
