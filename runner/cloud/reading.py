"""What an answer of the API says, read into what the verbs know."""

from __future__ import annotations

import ipaddress
from datetime import datetime
from typing import Any

from runner.cloud.model import MADE_BY, Server


def droplet_of(data: Any) -> Server:
    """The droplet in an answer. Raises KeyError, TypeError or ValueError if there is none."""
    droplet = data["droplet"]
    networks = droplet.get("networks") or {}
    made_by = next((tag.removeprefix(MADE_BY) for tag in droplet["tags"] if tag.startswith(MADE_BY)), "")
    return Server(
        id=int(droplet["id"]),
        name=droplet["name"],
        ip=public_address(networks.get("v4")),
        ip6=public_address(networks.get("v6")),
        size=droplet["size_slug"],
        image=(droplet.get("image") or {}).get("slug") or "",
        region=(droplet.get("region") or {}).get("slug") or "",
        state=droplet["status"],
        made_by=made_by,
    )


def public_address(networks: list[dict[str, Any]] | None) -> str | None:
    """The public address among a droplet's networks of one family, or None."""
    found = next((net["ip_address"] for net in networks or () if net["type"] == "public"), None)
    return str(ipaddress.ip_address(found)) if found else None


def carriers(data: Any) -> int:
    """The number of resources with a tag."""
    return int(data["tag"]["resources"]["count"])


def made_at(droplet: dict[str, Any]) -> float:
    """When a droplet was made, in seconds since 1970."""
    return datetime.fromisoformat(droplet["created_at"]).timestamp()
