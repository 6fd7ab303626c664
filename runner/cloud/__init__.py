"""The only room that knows a cloud's API."""

from runner.cloud.calls import SCOPES, Refused, Unanswered
from runner.cloud.digitalocean import DIGITALOCEAN, Cloud, digitalocean_cloud
from runner.cloud.model import TAG, DnsRecord, Order, Server, Size, Zone, record_of, tag_of, zone_among

__all__ = [
    "DIGITALOCEAN",
    "SCOPES",
    "TAG",
    "Cloud",
    "DnsRecord",
    "Order",
    "Refused",
    "Server",
    "Size",
    "Unanswered",
    "Zone",
    "digitalocean_cloud",
    "record_of",
    "tag_of",
    "zone_among",
]
