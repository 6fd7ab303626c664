"""The only room that knows a cloud's API."""

from runner.cloud.calls import SCOPES, Refused, Unanswered
from runner.cloud.digitalocean import DIGITALOCEAN, Cloud, digitalocean_cloud
from runner.cloud.model import TAG, Order, Server, Size, Zone, tag_of, zone_among

__all__ = [
    "DIGITALOCEAN",
    "SCOPES",
    "TAG",
    "Cloud",
    "Order",
    "Refused",
    "Server",
    "Size",
    "Unanswered",
    "Zone",
    "digitalocean_cloud",
    "tag_of",
    "zone_among",
]
