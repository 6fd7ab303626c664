"""Where a course's backups go, how often they are made and how long they are kept."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from runner.course.facts import Facts, text_like
from runner.course.material import HostKey

Kind = Literal["directory", "sftp", "s3", "rest"]

#: The keys that each kind requires.
NEEDS: dict[Kind, tuple[str, ...]] = {
    "directory": ("path",),
    "sftp": ("host", "user", "path", "host_key"),
    "s3": ("endpoint", "bucket", "access_key"),
    "rest": ("endpoint",),
}
_HOST = r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?"

TargetName = Annotated[str, *text_like(r"^[a-z][a-z0-9-]{0,29}$", "a short name: small letters, digits and -")]
AbsolutePath = Annotated[
    str,
    *text_like(
        r"^/(?!(.*/)?\.\.?(/|$))[A-Za-z0-9._/-]{1,200}$",
        "a whole path of letters, digits and ._-, such as /backups/physics",
    ),
]
Machine = Annotated[str, *text_like(rf"^{_HOST}$", "a host's name or address, such as backup.example.edu")]
User = Annotated[str, *text_like(r"^[a-z_][a-z0-9_.-]{0,31}$", "an account's name on that host")]
Endpoint = Annotated[
    str,
    *text_like(
        rf"^https?://{_HOST}(:[0-9]{{1,5}})?(/[A-Za-z0-9._/-]*)?$",
        "an address such as https://nyc3.digitaloceanspaces.com",
    ),
]
Bucket = Annotated[
    str,
    *text_like(
        r"^[a-z0-9][a-z0-9.-]{1,62}(/[A-Za-z0-9._-]+)*$", "a bucket, with a folder if you like: backups/physics"
    ),
]
AccessKey = Annotated[str, *text_like(r"^[A-Za-z0-9_.-]{3,128}$", "an access key's id, as the provider shows it")]

Webhook = Annotated[str, *text_like(r"^https://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[^\s]*)?$", "an https:// address")]
Command = Annotated[str, *text_like(r"^[^\x00\n]{1,500}$", "a command of one line")]


class Target(Facts):
    """One place for backups."""

    name: Annotated[TargetName, Field(examples=["spaces"])]
    """What you call it; secrets carry this name."""
    kind: Annotated[Kind, Field(examples=["s3"])]
    """The kind of place. ``s3``: a bucket of DigitalOcean Spaces or of anything that speaks S3; ``sftp``: any server
    with SSH, another course's too; ``rest``: a restic REST server; ``directory``: a directory of the server itself,
    such as a mounted volume, which alone is lost with the server."""
    path: Annotated[AbsolutePath | None, Field(examples=["/backups/physics"])] = None
    """For ``directory`` and ``sftp``: the directory for the backups."""
    host: Annotated[Machine | None, Field(examples=["backup.example.edu"])] = None
    """For ``sftp``: the host."""
    port: Annotated[int, Field(ge=1, le=65535, examples=[22])] = 22
    """For ``sftp``: its port."""
    user: Annotated[User | None, Field(examples=["hub"])] = None
    """For ``sftp``: the account there. The first ``up`` or ``apply`` makes its key and says where to paste it."""
    host_key: Annotated[
        HostKey | None, Field(examples=["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoq"])
    ] = None
    """For ``sftp``: the host's public key, as ``ssh-keyscan HOST`` prints it, without the host's name."""
    endpoint: Annotated[Endpoint | None, Field(examples=["https://nyc3.digitaloceanspaces.com"])] = None
    """For ``s3`` and ``rest``: the address."""
    bucket: Annotated[Bucket | None, Field(examples=["backups/physics"])] = None
    """For ``s3``: the bucket."""
    access_key: Annotated[AccessKey | None, Field(examples=["DO00EXAMPLE"])] = None
    """For ``s3``: the access key's id; for ``rest``: the user's name. The secret that belongs to it does not belong
    here: ``./coursehub secrets set COURSE backup-NAME``."""
    append_only: Annotated[bool, Field(examples=[True])] = False
    """Whether the credentials can add and read but not delete; a REST server with ``--append-only`` or a bucket's
    policy can do this. Then an attacker on the server cannot delete the backups. The target itself must delete old
    ones."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        missing = [key for key in NEEDS[self.kind] if not getattr(self, key)]
        if missing:
            raise ValueError(f"kind {self.kind} needs {' and '.join(missing)} below it too")
        return self


class Hours(Facts):
    """The hours of the day with an hourly backup."""

    first: Annotated[int, Field(ge=0, le=23, examples=[7])] = 7
    """The hour of the first backup."""
    last: Annotated[int, Field(ge=0, le=23, examples=[23])] = 23
    """The hour of the last backup."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.last < self.first:
            raise ValueError("the day ends before it begins: first is after last")
        return self


class Keep(Facts):
    """How many backups to keep, counted back from the newest."""

    hourly: Annotated[int, Field(ge=0, le=10000, examples=[48])] = 48
    """For so many of the last hours that have a backup, one each is kept."""
    daily: Annotated[int, Field(ge=0, le=10000, examples=[30])] = 30
    """The same for days."""
    weekly: Annotated[int, Field(ge=0, le=10000, examples=[26])] = 26
    """The same for weeks."""
    monthly: Annotated[int, Field(ge=0, le=10000, examples=[24])] = 24
    """The same for months."""


_EXAMPLE = {
    "name": "spaces",
    "kind": "s3",
    "endpoint": "https://nyc3.digitaloceanspaces.com",
    "bucket": "backups/physics",
    "access_key": "DO00EXAMPLE",
}


class Backup(Facts):
    """Where a course's backups go, how often they are made and how long they are kept."""

    targets: list[Target] = Field(default=[], examples=[[_EXAMPLE]])
    """The places for backups. Each gets a complete backup, encrypted with the secret ``backup-password``, which the
    first ``up`` or ``apply`` makes. Without a target, a course on the local cloud is backed up to this computer, in
    ``.coursehub/backups``. Any other course then has no backup, and ``up`` and ``status`` say so."""
    hours: Annotated[Hours | None, Field(examples=[{"first": 7, "last": 23}])] = Hours()
    """The hours of the day with an hourly backup, in the course's time zone. There is also one every night. ``null``
    means only the nightly one."""
    keep: Annotated[Keep, Field(examples=[{"hourly": 48, "daily": 30, "weekly": 26, "monthly": 24}])] = Keep()
    """How long backups are kept."""
    upload_limit: Annotated[int, Field(ge=0, le=10_000_000, examples=[5000])] = 0
    """Limit for sending a backup, in KiB per second; 0 means no limit."""

    @model_validator(mode="after")
    def _apart(self) -> Self:
        names = [target.name for target in self.targets]
        if len(set(names)) < len(names):
            raise ValueError("two targets have the same name; each needs one of its own")
        if any(target.name in ("password", "this-computer") for target in self.targets):
            raise ValueError("a target cannot be called password or this-computer; choose another name")
        return self


class Alert(Facts):
    """Where to report problems that nobody notices at once: a backup that fails or is late, a full disk."""

    webhook: Annotated[Webhook | None, Field(examples=["https://chat.example.edu/hooks/abc"])] = None
    """An address that gets a JSON document by POST: ``text`` is the message, ``ok`` is true when a problem is over."""
    command: Annotated[Command | None, Field(examples=["mail -s coursehub professor@example.edu"])] = None
    """A command that the server runs as an account without rights, with the same document on its standard input."""
