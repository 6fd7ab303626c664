"""A server's surroundings at the provider: the firewall in front of it, and the project in which it is shown."""

from __future__ import annotations

from typing import Any

from runner.agreed import PUBLIC_PORTS
from runner.cloud.calls import Calls, NotFound
from runner.cloud.model import TAG
from runner.errors import CoursehubError

#: The TCP ports of a hub, and the port on which it answers the certificate authority's DNS questions.
OPEN, DNS = PUBLIC_PORTS, 53
_EVERYBODY = {"addresses": ["0.0.0.0/0", "::/0"]}
_ALL_OUT = [
    {"protocol": "tcp", "ports": "all", "destinations": _EVERYBODY},
    {"protocol": "udp", "ports": "all", "destinations": _EVERYBODY},
    {"protocol": "icmp", "ports": "0", "destinations": _EVERYBODY},
]


def firewall_name(course_id: str) -> str:
    """The name of a course's firewall at the provider."""
    return f"{TAG}-{course_id}"


class Around:
    """Firewalls and the project of one account. Methods raise CoursehubError with one line."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def ensure_firewall(self, course_id: str, server_id: int, *, names_too: bool) -> None:
        """Allow only the hub's ports; with ``names_too`` also DNS questions."""
        name = firewall_name(course_id)
        ports = [("tcp", port) for port in OPEN] + ([("tcp", DNS), ("udp", DNS)] if names_too else [])
        inbound = [{"protocol": kind, "ports": str(port), "sources": _EVERYBODY} for kind, port in ports]
        wanted = {"name": name, "inbound_rules": inbound, "outbound_rules": _ALL_OUT, "droplet_ids": [server_id]}
        found = self._firewalls(name)
        if any(_same(one, wanted) for one in found):
            return
        if found:
            self._calls.put("changing the firewall", f"firewalls/{found[0]['id']}", wanted)
            return
        try:
            self._calls.post("making the firewall", "firewalls", wanted, repeat=False)
        except CoursehubError:
            # It may have been made although the answer was lost.
            if not any(_same(one, wanted) for one in self._firewalls(name)):
                raise

    def remove_firewall(self, course_id: str) -> None:
        """Remove the course's firewall. It is not an error if there is none."""
        for one in self._firewalls(firewall_name(course_id)):
            self._calls.delete("removing the firewall", f"firewalls/{one['id']}")

    def firewalls(self) -> list[str]:
        """The names of our firewalls in the account."""
        found = self._calls.entries("reading the firewalls", "firewalls", "firewalls")
        return sorted(one["name"] for one in found if one["name"].startswith(f"{TAG}-"))

    def _firewalls(self, name: str) -> list[dict[str, Any]]:
        found = self._calls.entries("reading the firewalls", "firewalls", "firewalls")
        return [one for one in found if one["name"] == name]

    def ensure_project(self, server_id: int) -> None:
        """Put the server into our project, which is created if necessary."""
        urn = f"do:droplet:{server_id}"
        found = self._project()
        if found is None:
            body = {
                "name": TAG,
                "purpose": "Class project / Educational purposes",
                "description": "Servers of courses, made by coursehub",
                "environment": "Production",
            }
            try:
                self._calls.post("making the project", "projects", body, repeat=False)
            except CoursehubError:
                if self._project() is None:
                    raise
            found = self._project()
        if found is not None and urn not in self._resources(found):
            path = f"projects/{found}/resources"
            self._calls.post("putting the server into the project", path, {"resources": [urn]})

    def remove_project(self) -> None:
        """Remove our project when it is empty."""
        found = self._project()
        if found is None or self._resources(found):
            return
        self._calls.delete("removing the project", f"projects/{found}")

    def _project(self) -> str | None:
        found = self._calls.entries("reading the projects", "projects", "projects")
        return next((str(one["id"]) for one in found if one["name"] == TAG), None)

    def _resources(self, project: str) -> list[str]:
        try:
            found = self._calls.entries("reading the project", f"projects/{project}/resources", "resources")
        except NotFound:
            return []
        return [one["urn"] for one in found]


def _same(found: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Whether a firewall has the wanted rules for this server. The API adds keys of its own."""

    def inbound(firewall: dict[str, Any]) -> set[tuple[str, str, tuple[str, ...]]]:
        rules = firewall.get("inbound_rules") or []
        return {(rule["protocol"], rule["ports"], tuple(sorted(rule["sources"]["addresses"]))) for rule in rules}

    return inbound(found) == inbound(wanted) and found.get("droplet_ids") == wanted["droplet_ids"]
