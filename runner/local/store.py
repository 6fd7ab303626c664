"""The account's data, in memory and in one JSON file that is replaced atomically at every change."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field

from runner.files import write_whole

FIRST_ID = 400_000_001
FIRST_SLOT, LAST_SLOT = 10, 250


def now() -> str:
    """The time in the API's format."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Key(BaseModel):
    """A public SSH key of the account."""

    id: int
    name: str
    public_key: str
    fingerprint: str


class Droplet(BaseModel):
    """A droplet: ``on`` is the state that the account wants, ``status`` what the API shows."""

    id: int
    name: str
    slot: int
    size: str
    disk: int
    image: str
    region: str
    tags: list[str]
    public_keys: list[str]
    user_data: str
    created_at: str
    monitoring: bool = False
    ipv6: bool = False
    status: Literal["new", "active", "off"] = "new"
    on: bool = True


class Action(BaseModel):
    """An action on a droplet."""

    id: int
    droplet_id: int
    type: str
    region: str
    status: Literal["in-progress", "completed", "errored"] = "in-progress"
    started_at: str
    completed_at: str | None = None
    argument: dict[str, Any] = Field(default_factory=dict)


class Record(BaseModel):
    """A DNS record; its name is relative to its domain, "@" the domain itself."""

    id: int
    type: str
    name: str
    data: str
    priority: int | None = None
    port: int | None = None
    ttl: int = 1800
    weight: int | None = None
    flags: int | None = None
    tag: str | None = None


class Domain(BaseModel):
    """A DNS zone."""

    name: str
    records: list[Record] = Field(default_factory=list)


class Firewall(BaseModel):
    """Rules for the incoming and outgoing traffic of droplets."""

    id: str
    name: str
    created_at: str
    inbound_rules: list[dict[str, Any]] = Field(default_factory=list)
    outbound_rules: list[dict[str, Any]] = Field(default_factory=list)
    droplet_ids: list[int] = Field(default_factory=list)
    tags: list[str] = Field(default_factory=list)


class Project(BaseModel):
    """A group of resources; ``resources`` are URNs such as do:droplet:1."""

    id: str
    name: str
    purpose: str
    description: str
    environment: str
    created_at: str
    resources: list[str] = Field(default_factory=list)


class Account(BaseModel):
    """Everything that the API can change."""

    next_id: int = FIRST_ID
    keys: list[Key] = Field(default_factory=list)
    droplets: list[Droplet] = Field(default_factory=list)
    actions: list[Action] = Field(default_factory=list)
    domains: list[Domain] = Field(default_factory=list)
    tags: list[str] = Field(default_factory=list)
    firewalls: list[Firewall] = Field(default_factory=list)
    projects: list[Project] = Field(default_factory=list)
    others: dict[str, list[dict[str, Any]]] = Field(default_factory=dict)


class Store:
    """The account and its file. Callers hold the cloud's lock."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.account = Account()
        if path is not None and path.exists():
            self.account = Account.model_validate_json(path.read_text())

    def beside(self, name: str) -> Path | None:
        """A file beside the account's own; None for an account that is only in memory."""
        return self._path.with_name(name) if self._path else None

    def save(self) -> None:
        """Write the account; only root can read it, because user-data may contain keys."""
        if self._path is not None:
            write_whole(self._path, self.account.model_dump_json(indent=1), 0o600)

    def new_id(self) -> int:
        """A number that no other object of the account has."""
        self.account.next_id += 1
        return self.account.next_id - 1

    def free_slot(self) -> int | None:
        """The free slot that was unused the longest, so that addresses are not reused at once."""
        used = {droplet.slot for droplet in self.account.droplets}
        start = max((self.account.next_id - FIRST_ID) % (LAST_SLOT - FIRST_SLOT + 1), 0)
        for offset in range(LAST_SLOT - FIRST_SLOT + 1):
            slot = FIRST_SLOT + (start + offset) % (LAST_SLOT - FIRST_SLOT + 1)
            if slot not in used:
                return slot
        return None

    def add_domain(self, name: str) -> Domain:
        """A new zone with the NS records that the provider gives each zone."""
        domain = Domain(name=name)
        for number in (1, 2, 3):
            server = f"ns{number}.digitalocean.com"
            domain.records.append(Record(id=self.new_id(), type="NS", name="@", data=server))
        self.account.domains.append(domain)
        return domain
