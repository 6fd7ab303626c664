"""The DNS zones of an account and the records in them."""

from __future__ import annotations

from typing import Any

from runner.cloud.calls import Calls, Domain, Refused
from runner.cloud.model import Zone, zone_among

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

    def ensure_record(self, zone: Zone, hostname: str, ip: str) -> bool:
        """Point ``hostname`` at ``ip`` with one A record; True when something changed."""
        records = self._of(zone, hostname)
        right = [record for record in records if record["data"] == ip]
        for record in records:
            if record not in right[:1]:
                self._remove("removing an old DNS record", zone, record)
        if right:
            return len(records) > 1
        domain = self._calls.bound(Domain, name=zone.name)
        try:
            self._calls.run(
                f"pointing {hostname} at {ip}",
                lambda: domain.create_new_domain_record(type="A", name=zone.label(hostname), data=ip, ttl=TTL),
            )
        except Refused:
            # A try whose answer was lost made it, so the next one is refused as a duplicate.
            if not any(record["data"] == ip for record in self._of(zone, hostname)):
                raise
        return True

    def remove_record(self, zone: Zone, hostname: str, ip: str) -> None:
        """Remove the A records of ``hostname`` that point at ``ip``; others are not ours."""
        for record in self._of(zone, hostname):
            if record["data"] == ip:
                self._remove("removing the DNS record", zone, record)

    def _of(self, zone: Zone, hostname: str) -> list[dict[str, Any]]:
        path = f"domains/{zone.name}/records"
        records = self._calls.entries("reading the DNS records", path, "domain_records", type="A", name=hostname)
        label = zone.label(hostname)
        return [record for record in records if record["type"] == "A" and record["name"] == label]

    def _remove(self, what: str, zone: Zone, record: dict[str, Any]) -> None:
        self._calls.delete(what, f"domains/{zone.name}/records/{record['id']}")
