"""What the verbs need of a cloud. A second provider is one more class of this shape.

DigitalOcean's is ``runner.cloud.digitalocean.Cloud``; the local cloud speaks the same API, so it is the same class.
Methods raise CoursehubError with one line, and no error has a token in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from runner.cloud.claims import Claim
from runner.cloud.health import Account
from runner.cloud.model import Authority, DnsRecord, Order, Server, Size, Zone


class Health(Protocol):
    """Looks at an account that change nothing."""

    def account(self) -> Account:
        """The account's state and limits."""

    def account_id(self) -> str:
        """What tells this account from every other one of the provider."""

    def missing_scopes(self) -> list[str]:
        """What the token may not do of what a course needs."""

    def clock_is_wrong_by(self) -> float:
        """Seconds that this computer's clock is ahead of the provider's."""


class Around(Protocol):
    """What stands around a server."""

    def ensure_firewall(self, course_id: str, server_id: int, *, names_too: bool) -> None:
        """Let in what a hub answers on and nothing else."""

    def remove_firewall(self, course_id: str) -> None:
        """Remove the course's firewall."""

    def firewalls(self) -> list[str]:
        """The names of our firewalls."""

    def ensure_project(self, server_id: int) -> None:
        """Show the server where the control panel shows what is ours."""

    def remove_project(self) -> None:
        """Remove that place once it is empty."""


class Claims(Protocol):
    """Who is at work on a course, for all computers."""

    def take(self, course_id: str, ours: Claim) -> Claim | None:
        """Put up our claim; the claim of somebody else who is at work."""

    def drop(self, course_id: str, claim: Claim) -> None:
        """Take a claim down."""


class Provider(Protocol):
    """One account of a provider. How it is opened is in ``runner.providers``."""

    name: str
    """What the user calls it."""
    costs: bool
    """Whether its servers cost money; then other computers can reach and change them too."""
    containers: bool
    """Whether its servers are containers, which have no kernel of their own."""

    @property
    def authority(self) -> Authority | None:
        """Who gives its hubs their certificates; None is Let's Encrypt."""

    def prepare(self, image: str, progress: Callable[[str], None]) -> None:
        """Have what an order of this image would otherwise wait for."""

    def need_room(self) -> None:
        """Refuse a server that there is no room for."""

    def name_taken(self, hostname: str) -> str | None:
        """Why a name cannot lead to a server here, and what to do; None when it can."""

    def lead_below(self, course_id: str, hostnames: Iterable[str]) -> None:
        """Have this computer find names below a course's wildcard record where its DNS does not."""

    @property
    def health(self) -> Health:
        """Looks at the account."""

    @property
    def around(self) -> Around:
        """What stands around servers."""

    @property
    def claims(self) -> Claims:
        """Who is at work on what."""

    def sizes(self) -> dict[str, Size]:
        """The sizes that can be ordered, by name."""

    def regions(self) -> list[str]:
        """The regions that take new servers."""

    def images(self) -> dict[str, tuple[str, ...]]:
        """The operating systems that can be ordered, and the regions that have each."""

    def ensure_key(self, name: str, public_key: str) -> int:
        """The id of an SSH key, stored when it is not there."""

    def remove_keys(self, name: str) -> None:
        """Remove the SSH keys of this name."""

    def keys_of_ours(self) -> list[str]:
        """The names of our SSH keys."""

    def get(self, server_id: int) -> Server | None:
        """The server of this id, or None."""

    def find(self, course_id: str, known: Server | None = None) -> list[Server]:
        """The course's servers, oldest first; ``known`` is the one that this computer remembers."""

    def single(self, course_id: str, known: Server | None = None) -> Server | None:
        """The course's server or None. Raises CoursehubError for several."""

    def several(self, course_id: str, found: list[Server]) -> str:
        """What to do about several servers of one course, as one line."""

    def course_at(self, ip: str) -> str | None:
        """The course whose server has this address."""

    def all_of_ours(self) -> list[tuple[str, Server]]:
        """Every server that is ours, each with its course."""

    def order(self, order: Order, *, key_id: int, user_data: str) -> Server:
        """Order a server. Raises Refused when there is none, and Unanswered when nobody knows."""

    def ordered(
        self, course_id: str, name: str, began: float, sent: float, progress: Callable[[str], None]
    ) -> Server | None:
        """The server of an order that was not answered, or None once it would have to be listed."""

    def wait_active(self, course_id: str, server: Server, progress: Callable[[str], None]) -> Server:
        """Wait until the server runs and has an address; switch it on when it is off."""

    def destroy(self, server: Server, progress: Callable[[str], None]) -> None:
        """Delete the server and wait until it is gone."""

    def remove_tags(self, course_id: str, makers: Iterable[str]) -> None:
        """Remove what marked the course's servers as ours."""

    def zones(self) -> list[Zone]:
        """The account's DNS zones."""

    def zone_of(self, hostname: str) -> Zone | None:
        """The zone that a name belongs to, or None."""

    def targets(self, zone: Zone, record: DnsRecord) -> list[str]:
        """What the records of ``record``'s kind and name say now."""

    def ensure_record(self, zone: Zone, record: DnsRecord) -> bool:
        """Make ``record`` the only one of its kind and name; True when something changed."""

    def remove_record(self, zone: Zone, record: DnsRecord) -> None:
        """Remove the records that say what ``record`` says."""

    def ensure_caa(self, zone: Zone, hostname: str) -> None:
        """Say in DNS whose certificates a name has."""

    def remove_caa(self, zone: Zone, hostname: str) -> None:
        """Remove what ``ensure_caa`` made."""
