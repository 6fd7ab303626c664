"""What the verbs need from a cloud. A second provider is one more class of this shape.

DigitalOcean's is ``runner.cloud.digitalocean.Cloud``; the local cloud speaks the same API, so it uses the same class.
Methods raise CoursehubError with one line, and no error contains a token.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from runner.cloud.claims import Claim
from runner.cloud.health import Account
from runner.cloud.model import Authority, DnsRecord, Order, Server, Size, Zone
from runner.cloud.others import Other


class Health(Protocol):
    """Queries about an account that change nothing."""

    def account(self) -> Account:
        """The account's state and limits."""

    def account_id(self) -> str:
        """An id that is unique among all accounts of the provider."""

    def missing_scopes(self) -> list[str]:
        """What a course needs and the token may not do."""

    def clock_is_wrong_by(self) -> float:
        """Seconds by which this computer's clock is ahead of the provider's."""


class Around(Protocol):
    """A server's surroundings: firewall and project."""

    def ensure_firewall(self, course_id: str, server_id: int, *, names_too: bool) -> None:
        """Allow only the hub's ports."""

    def remove_firewall(self, course_id: str) -> None:
        """Remove the course's firewall."""

    def firewalls(self) -> list[str]:
        """The names of our firewalls."""

    def ensure_project(self, server_id: int) -> None:
        """Put the server where the control panel shows what is ours."""

    def remove_project(self) -> None:
        """Remove that place when it is empty."""


class Others(Protocol):
    """What costs money beside servers, and that we never make."""

    unseen: list[str]
    """Kinds that could not be looked at, as the token may not."""

    def of(self, server_ids: Iterable[int], tags: Iterable[str]) -> list[Other]:
        """What belongs to these servers or carries one of the tags."""


class Claims(Protocol):
    """Claims on courses, visible to all computers."""

    def take(self, course_id: str, ours: Claim) -> Claim | None:
        """Make our claim. Return another's claim if somebody else is at work."""

    def drop(self, course_id: str, claim: Claim) -> None:
        """Remove a claim."""


class Provider(Protocol):
    """One account of a provider. ``runner.providers`` connects to it."""

    name: str
    """What the user calls it."""
    costs: bool
    """Whether its servers cost money; then other computers can reach and change them too."""
    containers: bool
    """Whether its servers are containers, which have no kernel of their own."""

    @property
    def authority(self) -> Authority | None:
        """The authority that issues its hubs' certificates; None is Let's Encrypt."""

    def prepare(self, image: str, progress: Callable[[str], None]) -> None:
        """Fetch what an order of this image would otherwise wait for."""

    def need_room(self) -> None:
        """Refuse a server if there is no room for it."""

    def name_taken(self, hostname: str) -> str | None:
        """Why a name cannot point to a server here, and what to do; None if it can."""

    def lead_below(self, course_id: str, hostnames: Iterable[str]) -> None:
        """Make names below a course's wildcard record work on this computer if its DNS does not know them."""

    def backup_place(self, course_id: str) -> tuple[str, str] | None:
        """Where a course's backups go when it names no target: the repository, as restic takes it with what lets the
        server in, and its password. None where the cloud has no such place."""

    @property
    def health(self) -> Health:
        """Queries about the account."""

    @property
    def around(self) -> Around:
        """Firewalls and projects."""

    @property
    def others(self) -> Others:
        """What else costs money."""

    @property
    def claims(self) -> Claims:
        """Who works on which course."""

    def sizes(self) -> dict[str, Size]:
        """The sizes that can be ordered, by name."""

    def regions(self) -> list[str]:
        """The regions that take new servers."""

    def images(self) -> dict[str, tuple[str, ...]]:
        """The operating systems that can be ordered, and the regions that have each."""

    def ensure_key(self, name: str, public_key: str) -> int:
        """The id of an SSH key, which is stored if necessary."""

    def remove_keys(self, name: str) -> None:
        """Remove the SSH keys with this name."""

    def keys_of_ours(self) -> list[str]:
        """The names of our SSH keys."""

    def get(self, server_id: int) -> Server | None:
        """The server with this id, or None."""

    def find(self, course_id: str, known: Server | None = None) -> list[Server]:
        """The course's servers, oldest first; ``known`` is the one that this computer remembers."""

    def single(self, course_id: str, known: Server | None = None) -> Server | None:
        """The course's server, or None. Raises CoursehubError if there are several."""

    def several(self, course_id: str, found: list[Server]) -> str:
        """One line that says what to do about several servers of one course."""

    def course_at(self, ip: str) -> str | None:
        """The course whose server has this address."""

    def all_of_ours(self) -> list[tuple[str, Server]]:
        """Every server that is ours, each with its course."""

    def order(self, order: Order, *, key_id: int, user_data: str) -> Server:
        """Order a server. Raises Refused if it was not made, and Unanswered if nobody knows."""

    def ordered(
        self, course_id: str, name: str, began: float, sent: float, progress: Callable[[str], None]
    ) -> Server | None:
        """The server of an order without an answer, or None once it would have to be in the lists."""

    def wait_active(self, course_id: str, server: Server, progress: Callable[[str], None]) -> Server:
        """Wait until the server runs and has an address; turn it on if it is off."""

    def destroy(self, server: Server, progress: Callable[[str], None]) -> None:
        """Delete the server and wait until it is gone."""

    def remove_tags(self, course_id: str, makers: Iterable[str]) -> None:
        """Remove the marks of the course's servers."""

    def zones(self) -> list[Zone]:
        """The account's DNS zones."""

    def zone_of(self, hostname: str) -> Zone | None:
        """The zone that a name belongs to, or None."""

    def targets(self, zone: Zone, record: DnsRecord) -> list[str]:
        """The current data of the records with ``record``'s type and name."""

    def ensure_record(self, zone: Zone, record: DnsRecord) -> bool:
        """Make ``record`` the only one of its type and name; return True if something changed."""

    def remove_record(self, zone: Zone, record: DnsRecord) -> None:
        """Remove the records with the same data as ``record``."""

    def ensure_caa(self, zone: Zone, hostname: str) -> None:
        """Say in DNS which authority may issue certificates for a name."""

    def remove_caa(self, zone: Zone, hostname: str) -> None:
        """Remove what ``ensure_caa`` made."""
