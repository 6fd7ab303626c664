"""The DNS zones of an account and the records in them."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any

from runner.cloud.calls import TRIES, Calls, Refused, Unanswered
from runner.cloud.model import DnsRecord, Zone, zone_among

#: Seconds. Next term's server has the same name, and students must not be sent to the old one.
TTL = 300
#: The authority of hubs' certificates, as CAA records name it.
AUTHORITY = "letsencrypt.org"


class Records:
    """DNS of one account. Methods raise CoursehubError with one line."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def zones(self) -> list[Zone]:
        """The account's DNS zones."""
        return [Zone(domain["name"]) for domain in self._calls.entries("reading the DNS zones", "domains", "domains")]

    def zone_of(self, hostname: str) -> Zone | None:
        """The zone that ``hostname`` belongs to (the longest match), or None."""
        return zone_among(self.zones(), hostname)

    def ensure_record(self, zone: Zone, record: DnsRecord) -> bool:
        """Make ``record`` the only one of its type and name; return True if something changed."""
        found = self._of(zone, record)
        right = [one for one in found if _says(one, record)]
        for one in found:
            if one not in right[:1]:
                self._remove("removing an old DNS record", zone, one)
        if right:
            return len(found) > 1
        body = {"type": record.kind, "name": zone.label(record.hostname), "data": record.data, "ttl": TTL}
        if record.kind == "NS":
            # The API wants names with a final dot and lists them without. It wants the other two keys empty.
            body |= {"data": f"{record.data}.", "flags": None, "tag": None}
        what = f"pointing {record.hostname} at {record.data}"
        self._make(what, zone, body, lambda: any(_says(one, record) for one in self._of(zone, record)))
        return True

    def targets(self, zone: Zone, record: DnsRecord) -> list[str]:
        """The current data of the records with ``record``'s type and name."""
        return [str(one["data"]) for one in self._of(zone, record)]

    def ensure_caa(self, zone: Zone, hostname: str) -> None:
        """Allow only our certificate authority for a name (CAA); records for other authorities are kept."""
        if self._allowed(zone, hostname):
            return
        body = {"type": "CAA", "name": zone.label(hostname), "data": f"{AUTHORITY}.", "flags": 0, "tag": "issue"}
        what = f"allowing certificates of {hostname}"
        self._make(what, zone, body | {"ttl": TTL}, lambda: self._allowed(zone, hostname))

    def _allowed(self, zone: Zone, hostname: str) -> bool:
        return any(_issuer(one) == AUTHORITY for one in self._caa(zone, hostname))

    def remove_caa(self, zone: Zone, hostname: str) -> None:
        """Remove what ``ensure_caa`` made. A record with another TTL is somebody else's."""
        for one in self._caa(zone, hostname):
            if _issuer(one) == AUTHORITY and one["ttl"] == TTL:
                self._remove("removing the CAA record", zone, one)

    def _caa(self, zone: Zone, hostname: str) -> list[dict[str, Any]]:
        path = f"domains/{zone.name}/records"
        found = self._calls.entries("reading the DNS records", path, "domain_records", type="CAA", name=hostname)
        return [one for one in found if one["type"] == "CAA" and one["name"] == zone.label(hostname)]

    def remove_record(self, zone: Zone, record: DnsRecord) -> None:
        """Remove the records with the same data as ``record``; others with its name are not ours."""
        for one in self._of(zone, record):
            if _says(one, record):
                self._remove("removing the DNS record", zone, one)

    def _of(self, zone: Zone, record: DnsRecord) -> list[dict[str, Any]]:
        path = f"domains/{zone.name}/records"
        # It is not documented how the API treats a star in the name to search for.
        by_name = {} if record.hostname.startswith("*") else {"name": record.hostname}
        found = self._calls.entries("reading the DNS records", path, "domain_records", type=record.kind, **by_name)
        label = zone.label(record.hostname)
        return [one for one in found if one["type"] == record.kind and one["name"] == label]

    def _make(self, what: str, zone: Zone, body: dict[str, Any], made: Callable[[], bool]) -> None:
        """Make a record; ``made`` looks for it.

        An attempt whose answer was lost may have made it. The next one would make a second, or be refused as a
        duplicate.
        """
        for left in reversed(range(TRIES)):
            try:
                self._calls.post(what, f"domains/{zone.name}/records", body, repeat=False)
            except (Refused, Unanswered) as error:
                if made():
                    return
                if isinstance(error, Refused) or not left:
                    raise
            else:
                return

    def _remove(self, what: str, zone: Zone, record: dict[str, Any]) -> None:
        self._calls.delete(what, f"domains/{zone.name}/records/{record['id']}")


def _says(found: dict[str, Any], record: DnsRecord) -> bool:
    """Whether a record says what is meant: an IPv6 address can be written in several ways."""
    data = str(found["data"])
    if record.kind != "AAAA":
        return data == record.data
    try:
        return ipaddress.ip_address(data) == ipaddress.ip_address(record.data)
    except ValueError:
        return False


def _issuer(record: dict[str, Any]) -> str:
    return str(record["data"]).rstrip(".") if record.get("tag") == "issue" else ""
