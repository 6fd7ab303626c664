"""A target of the pillar in restic's notation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

Words = tuple[str, tuple[str, ...], Mapping[str, str]]


def words(name: str, given: Mapping[str, Any], place: Path) -> Words:
    """Return a target's repository, the values of restic's ``-o``, and the environment variables with credentials.

    ``place`` is the directory with the keys for SFTP.
    """
    match given.get("kind"):
        case "directory":
            return given["path"], (), {}
        case "sftp":
            return f"sftp:{given['user']}@{given['host']}:{given['path']}", (_ssh(name, given, place),), {}
        case "s3":
            secrets = {"AWS_ACCESS_KEY_ID": given["access_key"], "AWS_SECRET_ACCESS_KEY": given["secret"]}
            return f"s3:{given['endpoint'].rstrip('/')}/{given['bucket']}", (), secrets
        case "rest":
            secrets = {
                "RESTIC_REST_USERNAME": given.get("access_key") or "",
                "RESTIC_REST_PASSWORD": given.get("secret") or "",
            }
            return f"rest:{given['endpoint'].rstrip('/')}/", (), secrets
        case _:
            return given["repository"], tuple(given.get("options", ())), given.get("environment", {})


def _ssh(name: str, given: Mapping[str, Any], place: Path) -> str:
    known = f"-o UserKnownHostsFile={place}/known_hosts -o GlobalKnownHostsFile=/dev/null"
    checked = f"{known} -o StrictHostKeyChecking=yes -o HostKeyAlias={name}"
    patient = "-o BatchMode=yes -o ConnectTimeout=30 -o ServerAliveInterval=20"
    return f"sftp.args=-i {place}/keys/{name} -p {given.get('port') or 22} {checked} {patient}"
