"""The DNS zones of an account and the records in them."""

from __future__ import annotations

from typing import Any

from runner.cloud.calls import Calls, Refused
from runner.cloud.model import DnsRecord, Zone, zone_among

#: Seconds. Next term's server has the same name, and students must not be sent to the old one.
TTL = 300


class Records:
    """DNS of one account. Methods raise CoursehubError with one line."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def zones(self) -> list[Zone]:
        """The account's DNS zones."""
        return [Zone(domain["name"]) for domain in self._calls.entries("reading the DNS zones", "domains", "domains")]

    def zone_of(self, hostname: str) -> Zone | None:
        """The zone that ``hostname`` belongs to, the longest match, or None."""
        return zone_among(self.zones(), hostname)

    def ensure_record(self, zone: Zone, record: DnsRecord) -> bool:
        """Make ``record`` the only one of its kind and name; True when something changed."""
        found = self._of(zone, record)
        right = [one for one in found if one["data"] == record.data]
        for one in found:
            if one not in right[:1]:
                self._remove("removing an old DNS record", zone, one)
        if right:
            return len(found) > 1
        body = {"type": record.kind, "name": zone.label(record.hostname), "data": record.data, "ttl": TTL}
        if record.kind == "NS":
            # The API wants names with the dot at the end, and lists them without. The other two keys it wants empty.
            body |= {"data": f"{record.data}.", "flags": None, "tag": None}
        try:
            self._calls.post(f"pointing {record.hostname} at {record.data}", f"domains/{zone.name}/records", body)
        except Refused:
            # A try whose answer was lost made it, so the next one is refused as a duplicate.
            if not any(one["data"] == record.data for one in self._of(zone, record)):
                raise
        return True

    def targets(self, zone: Zone, record: DnsRecord) -> list[str]:
        """What the records of ``record``'s kind and name say now."""
        return [str(one["data"]) for one in self._of(zone, record)]

    def remove_record(self, zone: Zone, record: DnsRecord) -> None:
        """Remove the records that say what ``record`` says; others of its name are not ours."""
        for one in self._of(zone, record):
            if one["data"] == record.data:
                self._remove("removing the DNS record", zone, one)

    def _of(self, zone: Zone, record: DnsRecord) -> list[dict[str, Any]]:
        path = f"domains/{zone.name}/records"
        # It is not said what the API takes a star in a name that it looks for to mean.
        by_name = {} if record.hostname.startswith("*") else {"name": record.hostname}
        found = self._calls.entries("reading the DNS records", path, "domain_records", type=record.kind, **by_name)
        label = zone.label(record.hostname)
        return [one for one in found if one["type"] == record.kind and one["name"] == label]

    def _remove(self, what: str, zone: Zone, record: dict[str, Any]) -> None:
        self._calls.delete(what, f"domains/{zone.name}/records/{record['id']}")
