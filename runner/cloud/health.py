"""Facts about an account before anything is ordered: its state, its limits, and what the token may do."""

from __future__ import annotations

import email.utils
import time
from dataclasses import dataclass
from typing import Any

from runner.cloud.calls import Calls, Forbidden, NotFound, Refused

#: A UUID that nothing has.
_NOBODY = "00000000-0000-0000-0000-000000000000"
#: Requests that change nothing, whatever the token may do, and the scope that each needs. Requests that create have no
#: body and are refused (422); requests that delete name what does not exist (404). Only a missing scope gives 403.
_PROBES = (
    ("account:read", "GET", "account"),
    ("droplet:read", "GET", "droplets"),
    ("droplet:create", "POST", "droplets"),
    ("droplet:update", "POST", "droplets/1/actions"),
    ("droplet:delete", "DELETE", "droplets/1"),
    ("ssh_key:read", "GET", "account/keys"),
    ("ssh_key:create", "POST", "account/keys"),
    ("ssh_key:delete", "DELETE", "account/keys/1"),
    ("domain:read", "GET", "domains"),
    ("domain:create", "POST", "domains/coursehub.invalid/records"),
    ("domain:delete", "DELETE", "domains/coursehub.invalid/records/1"),
    ("tag:read", "GET", "tags"),
    ("tag:create", "POST", "tags"),
    ("tag:delete", "DELETE", "tags/no-tag-of-anybody"),
    ("firewall:read", "GET", "firewalls"),
    ("firewall:create", "POST", "firewalls"),
    ("firewall:update", "PUT", f"firewalls/{_NOBODY}"),
    ("firewall:delete", "DELETE", f"firewalls/{_NOBODY}"),
    ("project:read", "GET", "projects"),
    ("project:create", "POST", "projects"),
    ("project:update", "POST", f"projects/{_NOBODY}/resources"),
    ("project:delete", "DELETE", f"projects/{_NOBODY}"),
    ("actions:read", "GET", "actions"),
    ("regions:read", "GET", "regions"),
    ("sizes:read", "GET", "sizes"),
    ("image:read", "GET", "images"),
)


@dataclass(frozen=True)
class Account:
    """An account: ``status`` is the provider's word (active, warning, locked), ``message`` why."""

    status: str
    message: str
    email_verified: bool
    droplet_limit: int
    droplets: int


class Health:
    """Queries one account and changes nothing in it."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._account_id = ""

    def account(self) -> Account:
        """The account and its number of droplets. Raises CoursehubError if the token is not valid."""

        def read(data: Any) -> dict[str, Any]:
            account: dict[str, Any] = data["account"]
            return account

        account = self._calls.get("looking at the account", "account", then=read)
        droplets = self._calls.entries("counting the droplets", "droplets", "droplets")
        return Account(
            status=account["status"],
            message=account.get("status_message") or "",
            email_verified=bool(account["email_verified"]),
            droplet_limit=int(account["droplet_limit"]),
            droplets=len(droplets),
        )

    def account_id(self) -> str:
        """The account's UUID, requested once. Raises CoursehubError if the token is not valid."""
        if not self._account_id:
            self._account_id = self._calls.get("looking at the account", "account", then=_uuid)
        return self._account_id

    def missing_scopes(self) -> list[str]:
        """The scopes that we need and that a custom token lacks."""
        missing = []
        for scope, method, path in _PROBES:
            try:
                self._calls.probe(f"trying {scope}", method, path)
            except Forbidden:
                missing.append(scope)
            except (NotFound, Refused):
                continue
        return missing

    def clock_is_wrong_by(self) -> float:
        """Seconds by which this computer's clock is ahead of the provider's (negative: behind)."""
        said = self._calls.said("Date")
        if not said:
            return 0.0
        return time.time() - email.utils.parsedate_to_datetime(said).timestamp()


def _uuid(data: Any) -> str:
    return str(data["account"]["uuid"])
