"""Finds things that cost money and that coursehub never makes. A teacher may have added them to a course's server."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from runner.cloud.calls import Calls, Forbidden, NotFound

#: Approximate US dollars a month, because the API has no prices for these: a GB of a volume, a GB of a snapshot, a
#: reserved address without a droplet, the smallest load balancer.
_VOLUME_GB, _SNAPSHOT_GB, _ADDRESS, _BALANCER = 0.10, 0.06, 5.0, 12.0


@dataclass(frozen=True)
class Other:
    """One such thing: its kind in words, its name, and about how many US dollars a month it costs by itself."""

    kind: str
    name: str
    month: float


class Others:
    """Finds such things in one account. Methods raise CoursehubError with one line."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        #: Kinds that the token may not list.
        self.unseen: list[str] = []

    def of(self, server_ids: Iterable[int], tags: Iterable[str]) -> list[Other]:
        """Everything that is attached to these droplets, was made from them, or has one of the tags."""
        ids, marks = set(server_ids), set(tags)
        self.unseen = []
        found: list[Other] = []
        for kind, path, key, of_ours, other in _KINDS:
            try:
                listed = self._calls.entries(f"looking for {kind}s", path, key)
            except Forbidden:
                # A custom token may lack this scope, because coursehub makes none of these.
                self.unseen.append(kind)
                continue
            except NotFound:
                continue
            found += [other(one) for one in listed if of_ours(one, ids) or marks & set(one.get("tags") or ())]
        return found


def _numbers(values: Iterable[Any] | None) -> set[int]:
    return {int(value) for value in values or () if str(value).isdigit()}


def _volume(one: dict[str, Any]) -> Other:
    return Other("volume", str(one["name"]), one["size_gigabytes"] * _VOLUME_GB)


def _snapshot(one: dict[str, Any]) -> Other:
    return Other("snapshot", str(one["name"]), one["size_gigabytes"] * _SNAPSHOT_GB)


def _address(one: dict[str, Any]) -> Other:
    return Other("reserved address", str(one["ip"]), _ADDRESS)


def _balancer(one: dict[str, Any]) -> Other:
    return Other("load balancer", str(one["name"]), _BALANCER)


_Of = Callable[[dict[str, Any], set[int]], bool]
_KINDS: tuple[tuple[str, str, str, _Of, Callable[[dict[str, Any]], Other]], ...] = (
    ("volume", "volumes", "volumes", lambda one, ids: bool(_numbers(one.get("droplet_ids")) & ids), _volume),
    ("snapshot", "snapshots", "snapshots", lambda one, ids: bool(_numbers([one.get("resource_id")]) & ids), _snapshot),
    ("reserved address", "reserved_ips", "reserved_ips",
     lambda one, ids: bool(_numbers([(one.get("droplet") or {}).get("id")]) & ids), _address),
    ("load balancer", "load_balancers", "load_balancers",
     lambda one, ids: bool(_numbers(one.get("droplet_ids")) & ids), _balancer),
)  # fmt: skip
