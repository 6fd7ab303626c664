"""Start the servers of those who came lately some minutes before a class, so that nobody waits when it begins.

The hub runs this as a service. The first argument is the hub's base URL, the second a JSON object: the keys of
``Plan``. One server starts at a time, and only while memory has room for others too: who signs in meanwhile is hardly
slowed, and whoever does not come leaves a server that the idle culler stops.
"""

import http.client
import json
import os
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from class_inside.ask import UnixConnection
from class_inside.places import Places
from class_inside.turns import ClassMemory

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
# Seconds between two looks at the clock, and between two questions whether a server has started.
LOOK, ASK = 20.0, 1.0
# Seconds for one answer of the hub, and for one server.
ANSWER, START = 30.0, 120.0
# People in one answer of the hub.
PAGE = 100
# Room is left for so many people who sign in at the same time and are not expected.
ROOM_FOR = 2


class Refused(Exception):
    """The hub did not answer as expected."""


@dataclass(frozen=True)
class Plan:
    """When classes begin (``times``, such as ``Mon 09:00`` in the time zone ``zone``), and who is expected.

    Servers start ``ahead`` seconds before, for people of these hub groups who were active in the last ``days`` days.
    ``each`` is the memory in bytes that a server and its kernel need, ``slice`` the unit whose limit all share.
    """

    times: list[str]
    zone: str
    ahead: int
    days: int
    groups: list[str]
    each: int
    slice: str

    def due(self, now: datetime) -> datetime | None:
        """Return the beginning of the class for which servers start now; None if there is none."""
        local = now.astimezone(ZoneInfo(self.zone))
        for text in self.times:
            day, _, clock = text.partition(" ")
            hour, _, minute = clock.partition(":")
            begins = local.replace(hour=int(hour), minute=int(minute), second=0, microsecond=0)
            begins += timedelta(days=(DAYS.index(day) - local.weekday()) % 7)
            if begins - timedelta(seconds=self.ahead) <= local < begins:
                return begins
        return None

    def expected(self, people: Iterable[dict[str, Any]], now: datetime) -> list[str]:
        """Return the accounts whose servers should start, from the hub's list of people."""
        since = now - timedelta(days=self.days)
        found = []
        for person in people:
            active = person.get("last_activity")
            # A server that runs or starts is among these.
            if not active or person["servers"]:
                continue
            if set(person["groups"]) & set(self.groups) and datetime.fromisoformat(active) >= since:
                found.append(person["name"])
        return sorted(found)


class Hub:
    """The hub's API, over its socket."""

    def __init__(self, base_url: str, token: str, socket: Path) -> None:
        self._api = f"{base_url}hub/api"
        self._headers = {"Authorization": f"token {token}"}
        self._socket = socket

    def ask(self, method: str, address: str) -> tuple[int, Any]:
        """Return status and document of one request. Raises Refused if there is no answer."""
        connection = UnixConnection(self._socket, ANSWER)
        try:
            connection.request(method, f"{self._api}{address}", headers=self._headers | {"Content-Length": "0"})
            answer = connection.getresponse()
            body = answer.read()
            return answer.status, json.loads(body) if body else None
        except (OSError, ValueError, http.client.HTTPException) as problem:
            raise Refused(f"{method} {address}: {type(problem).__name__}") from problem
        finally:
            connection.close()

    def people(self) -> list[dict[str, Any]]:
        """Return everybody that this service may see. Raises Refused."""
        found: list[dict[str, Any]] = []
        while True:
            status, page = self.ask("GET", f"/users?limit={PAGE}&offset={len(found)}")
            if status != http.client.OK:
                raise Refused(f"the list of people: HTTP {status}")
            found += page
            if len(page) < PAGE:
                return found

    def start(self, account: str, pause: Callable[[float], None]) -> bool:
        """Start a server and wait until it runs or has failed. Returns whether it runs. Raises Refused."""
        status, _ = self.ask("POST", f"/users/{account}/server")
        waited = 0.0
        while status == http.client.ACCEPTED and waited < START:
            pause(ASK)
            waited += ASK
            _, person = self.ask("GET", f"/users/{account}")
            servers = person.get("servers") if person else None
            if not servers:
                return False
            if all(server["ready"] for server in servers.values()):
                return True
        return status == http.client.CREATED


def start_all(hub: Hub, plan: Plan, room: Callable[[int], bool], pause: Callable[[float], None]) -> tuple[int, int]:
    """Start the expected people's servers. Returns how many started, and how many were expected. Raises Refused."""
    accounts = plan.expected(hub.people(), datetime.now(ZoneInfo(plan.zone)))
    started = 0
    for account in accounts:
        if not room(1 + ROOM_FOR):
            break
        started += hub.start(account, pause)
    return started, len(accounts)


def main() -> None:
    """Wait for classes and prepare each once, until the hub ends this process."""
    plan = Plan(**json.loads(sys.argv[2]))
    places = Places()
    hub = Hub(sys.argv[1], os.environ["JUPYTERHUB_API_TOKEN"], places.hub)
    memory = ClassMemory(plan.each, places.servers, plan.slice)
    done: datetime | None = None
    while True:
        begins = plan.due(datetime.now(ZoneInfo(plan.zone)))
        if begins and begins != done:
            try:
                started, expected = start_all(hub, plan, memory.room, time.sleep)
                done = begins
                print(f"before the class at {begins:%a %H:%M}: started {started} of {expected} servers", flush=True)
            except Refused as problem:
                # The hub itself is starting, or was restarted.
                print(f"before the class at {begins:%a %H:%M}: {problem}; it tries again", flush=True)
        time.sleep(LOOK)


if __name__ == "__main__":
    main()
