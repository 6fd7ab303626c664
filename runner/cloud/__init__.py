"""The only package that knows a cloud's API."""

from runner.cloud.calls import Refused, Unanswered
from runner.cloud.digitalocean import Cloud
from runner.cloud.model import Authority, Order, Server, Size, Zone, maker, record_of, tag_of, zone_among
from runner.cloud.provider import Provider

__all__ = [
    "Authority",
    "Cloud",
    "Order",
    "Provider",
    "Refused",
    "Server",
    "Size",
    "Unanswered",
    "Zone",
    "maker",
    "record_of",
    "tag_of",
    "zone_among",
]
