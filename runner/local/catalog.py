"""What can be ordered: sizes with the provider's list prices, regions and images."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from runner.local.images import SUITES

# Every region has every size and image here; the slugs are the provider's.
REGIONS = {
    "nyc3": "New York 3",
    "sfo3": "San Francisco 3",
    "tor1": "Toronto 1",
    "ams3": "Amsterdam 3",
    "fra1": "Frankfurt 1",
    "lon1": "London 1",
    "sgp1": "Singapore 1",
}
IMAGE_NAMES = {"debian-12-x64": "12 x64", "debian-13-x64": "13 x64"}
IMAGE_IDS = {slug: 190_000_001 + number for number, slug in enumerate(SUITES)}
HOURS_PER_BILLED_MONTH = 672


@dataclass(frozen=True)
class Size:
    """A droplet size: memory in MB, disk in GB, transfer in TB, price in US dollars per month."""

    slug: str
    memory: int
    vcpus: int
    disk: int
    transfer: float
    price_monthly: float

    def document(self) -> dict[str, Any]:
        """The size as the API shows it. The hourly price is the monthly price divided by 672, as the provider bills."""
        return {
            "slug": self.slug,
            "memory": self.memory,
            "vcpus": self.vcpus,
            "disk": self.disk,
            "transfer": self.transfer,
            "price_monthly": self.price_monthly,
            "price_hourly": round(self.price_monthly / HOURS_PER_BILLED_MONTH, 5),
            "regions": list(REGIONS),
            "available": True,
            "description": "Basic",
        }


# https://www.digitalocean.com/pricing/droplets, Basic, regular CPU.
SIZES = {
    size.slug: size
    for size in (
        Size("s-1vcpu-1gb", 1024, 1, 25, 1.0, 6.0),
        Size("s-1vcpu-2gb", 2048, 1, 50, 2.0, 12.0),
        Size("s-2vcpu-2gb", 2048, 2, 60, 3.0, 18.0),
        Size("s-2vcpu-4gb", 4096, 2, 80, 4.0, 24.0),
        Size("s-4vcpu-8gb", 8192, 4, 160, 5.0, 48.0),
        Size("s-8vcpu-16gb", 16384, 8, 320, 6.0, 96.0),
    )
}


def region_document(slug: str) -> dict[str, Any]:
    """A region as the API shows it."""
    return {
        "name": REGIONS[slug],
        "slug": slug,
        "features": ["metadata"],
        "available": True,
        "sizes": list(SIZES),
    }


def network_id(region: str) -> str:
    """The UUID of a region's default private network."""
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{region}.local.coursehub.test"))


def image_document(slug: str) -> dict[str, Any]:
    """An image as the API shows it."""
    return {
        "id": IMAGE_IDS[slug],
        "name": IMAGE_NAMES[slug],
        "distribution": "Debian",
        "slug": slug,
        "public": True,
        "regions": list(REGIONS),
        "created_at": "2025-09-10T00:00:00Z",
        "min_disk_size": 7,
        "type": "base",
        "size_gigabytes": 0.5,
        "description": f"Debian {IMAGE_NAMES[slug]}",
        "tags": [],
        "status": "available",
        "error_message": "",
    }


def image_slug(wanted: object) -> str | None:
    """The slug of an image that is given by slug or number."""
    if isinstance(wanted, int) or (isinstance(wanted, str) and wanted.isdigit()):
        return next((slug for slug, number in IMAGE_IDS.items() if number == int(wanted)), None)
    return wanted if isinstance(wanted, str) and wanted in IMAGE_IDS else None
