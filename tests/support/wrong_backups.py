"""Wrong values of ``backup`` and ``alert`` in a course file, each with the line that the teacher reads."""

from __future__ import annotations

from typing import Any

BELOW = "must be a group of keys below it; correct it"
NAME = "must be a short name: small letters, digits and -; correct it"
PATH = "must be a whole path of letters, digits and ._-, such as /backups/physics; correct it"
KEPT = "must be a whole number from 0 to 10000; correct it"
HOUR = "must be a whole number from 0 to 23; correct it"
HOST_KEY = "must be a host's public key: ssh-ed25519 and its letters, without the host's name; correct it"
ENDPOINT = "must be an address such as https://nyc3.digitaloceanspaces.com; correct it"


def _of_target(key: str, value: Any, message: str) -> tuple[Any, str]:
    return value, f"backup.targets.1.{key} ({value!r}): {message}"


WRONG_BACKUPS: dict[str, list[tuple[Any, str]]] = {
    "backup": [("nightly", f"backup ('nightly'): {BELOW}")],
    "backup.targets": [("s3", "backup.targets ('s3'): must be a list (a line with '- ' for each); correct it")],
    "backup.targets[].name": [_of_target("name", "My Disk", NAME)],
    "backup.targets[].kind": [
        _of_target("kind", "ftp", "must be one of directory, sftp, s3, rest; did you mean sftp?")
    ],
    "backup.targets[].path": [_of_target("path", "backups", PATH), _of_target("path", "/a/../etc", PATH)],
    "backup.targets[].host": [
        _of_target(
            "host", "-oProxyCommand=x", "must be a host's name or address, such as backup.example.edu; correct it"
        )
    ],
    "backup.targets[].port": [_of_target("port", 0, "must be a whole number from 1 to 65535; correct it")],
    "backup.targets[].user": [_of_target("user", "-l root", "must be an account's name on that host; correct it")],
    "backup.targets[].host_key": [_of_target("host_key", "SHA256:abc", HOST_KEY)],
    "backup.targets[].endpoint": [_of_target("endpoint", "nyc3.example.com", ENDPOINT)],
    "backup.targets[].bucket": [
        _of_target("bucket", "s3://backups", "must be a bucket, with a folder if you like: backups/physics; correct it")
    ],
    "backup.targets[].access_key": [
        _of_target("access_key", "a b", "must be an access key's id, as the provider shows it; correct it")
    ],
    "backup.targets[].append_only": [_of_target("append_only", "maybe", "must be true or false; correct it")],
    "backup.hours": [("7-23", f"backup.hours ('7-23'): {BELOW}")],
    "backup.hours.first": [(24, f"backup.hours.first (24): {HOUR}")],
    "backup.hours.last": [(-1, f"backup.hours.last (-1): {HOUR}")],
    "backup.keep": [(30, f"backup.keep (30): {BELOW}")],
    "backup.keep.hourly": [(-1, f"backup.keep.hourly (-1): {KEPT}")],
    "backup.keep.daily": [(-1, f"backup.keep.daily (-1): {KEPT}")],
    "backup.keep.weekly": [(-1, f"backup.keep.weekly (-1): {KEPT}")],
    "backup.keep.monthly": [(-1, f"backup.keep.monthly (-1): {KEPT}")],
    "backup.upload_limit": [
        ("5M", "backup.upload_limit ('5M'): must be a whole number from 0 to 10000000; correct it")
    ],
    "alert": [("me@example.edu", f"alert ('me@example.edu'): {BELOW}")],
    "alert.webhook": [
        (
            "http://chat.example.edu/x",
            "alert.webhook ('http://chat.example.edu/x'): must be an https:// address; correct it",
        )
    ],
    "alert.command": [("a\nb", "alert.command ('a\\nb'): must be a command of one line; correct it")],
}
