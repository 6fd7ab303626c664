"""Start the servers of those who came lately some minutes before a class, so that nobody waits when it begins.

The hub runs this as a service. The first argument is the hub's base URL, the second a JSON object: the keys of
``Plan``. One server starts at a time, and only while memory has room for others too: who signs in meanwhile is hardly
slowed. The server of a person who does not come is the first that is stopped when others wait for memory (idle.py), and
else the idle culler stops it.

The hub's own times of activity also count starts and stops that nobody asked for. So this keeps a record of who really
used a server.
"""

import http.client
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from class_inside.ask import UnixConnection
from class_inside.idle import EARLY, START
from class_inside.places import Places
from class_inside.turns import ClassMemory

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
# Seconds between two looks at the clock, between two looks at who is there, and between two questions about a start.
LOOK, WHO, ASK = 20.0, 180.0, 1.0
# Seconds for one answer of the hub, and for one server.
ANSWER, PATIENCE = 30.0, 120.0
# People in one answer of the hub.
PAGE = 100
# Seconds after PATIENCE in which a server may still come up, before the hub gives up its start.
LATE = 60.0
# Room is left for so many people who sign in at the same time and are not expected.
ROOM_FOR = 2


class Refused(Exception):
    """The hub did not answer as expected."""


@dataclass(frozen=True)
class Plan:
    """When classes begin (``times``, such as ``Mon 09:00`` in the time zone ``zone``), and who is expected.

    Servers start ``ahead`` seconds before, for people of these hub groups who used theirs in the last ``days`` days,
    from the first to the last day of ``term``. ``each`` is the memory in bytes that a server and its kernel need,
    ``slice`` the unit whose limit all share, ``record`` the file of who used a server when.
    """

    times: list[str]
    zone: str
    ahead: int
    days: int
    groups: list[str]
    each: int
    slice: str
    record: str
    term: list[str] | None = None

    def due(self, now: datetime) -> datetime | None:
        """Return the beginning of the class for which servers start now; None if there is none."""
        local = now.astimezone(ZoneInfo(self.zone))
        if self.term and not self.term[0] <= local.date().isoformat() <= self.term[1]:
            return None
        for text in self.times:
            day, _, clock = text.partition(" ")
            hour, _, minute = clock.partition(":")
            begins = local.replace(hour=int(hour), minute=int(minute), second=0, microsecond=0)
            begins += timedelta(days=(DAYS.index(day) - local.weekday()) % 7)
            if begins - timedelta(seconds=self.ahead) <= local < begins:
                return begins
        return None

    def expected(self, people: Iterable[dict[str, Any]], used: dict[str, str], now: datetime) -> list[str]:
        """Return the accounts whose servers should start, from the hub's list of people and the record."""
        since = now - timedelta(days=self.days)
        return sorted(
            person["name"]
            for person in people
            # A server that runs or starts is among these.
            if not person["servers"]
            and set(person["groups"]) & set(self.groups)
            and person["name"] in used
            and datetime.fromisoformat(used[person["name"]]) >= since
        )


class Record:
    """Who used a server when, as ``{account: time}``, in a file of root's."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self.used: dict[str, str] | None = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            # The first look takes the hub's own times.
            self.used = None

    def look(self, people: Iterable[dict[str, Any]], up: Mapping[str, float] | None = None) -> None:
        """Note who uses a server now. A report soon after the start is the server's own.

        ``up`` is when servers that were started before a class came up (Unix time), by account.
        """
        before = dict(self.used or {})
        if self.used is None:
            self.used = {person["name"]: person["last_activity"] for person in people if person.get("last_activity")}
        for person in people:
            for server in person["servers"].values():
                active, started = server.get("last_activity"), server.get("started")
                if not active or not started:
                    continue
                came_up = max(datetime.fromisoformat(started).timestamp(), (up or {}).get(person["name"], 0.0))
                if datetime.fromisoformat(active).timestamp() - came_up >= START:
                    self.used[person["name"]] = active
        if self.used != before:
            new = self._path.with_name(f"{self._path.name}.new")
            new.write_text(json.dumps(self.used), encoding="utf-8")
            new.chmod(0o600)
            new.replace(self._path)


class Hub:
    """The hub's API, over its socket."""

    def __init__(self, base_url: str, token: str, socket: Path) -> None:
        self._api = f"{base_url}hub/api"
        self._headers = {"Authorization": f"token {token}"}
        self._socket = socket
        #: When the servers that it started came up (Unix time), by account.
        self.up: dict[str, float] = {}

    def ask(self, method: str, address: str, document: dict[str, Any] | None = None) -> tuple[int, Any]:
        """Return status and document of one request. Raises Refused if there is no answer."""
        connection = UnixConnection(self._socket, ANSWER)
        body = json.dumps(document) if document else ""
        try:
            connection.request(method, f"{self._api}{address}", body, headers=self._headers)
            answer = connection.getresponse()
            said = answer.read()
            return answer.status, json.loads(said) if said else None
        except (OSError, ValueError, http.client.HTTPException) as problem:
            # Without the rest of the address, which has an account: this goes into the journal.
            raise Refused(f"{method} /users: {type(problem).__name__}") from problem
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
        status, _ = self.ask("POST", f"/users/{account}/server", {EARLY: time.time()})
        waited = 0.0
        while status == http.client.ACCEPTED and waited < PATIENCE:
            pause(ASK)
            waited += ASK
            _, person = self.ask("GET", f"/users/{account}")
            servers = person.get("servers") if person else None
            if not servers:
                return False
            if all(server["ready"] for server in servers.values()):
                self.up[account] = time.time()
                return True
        if status in (http.client.CREATED, http.client.ACCEPTED):
            self.up[account] = time.time() + (LATE if status == http.client.ACCEPTED else 0)
        return status == http.client.CREATED


def start_all(
    hub: Hub, plan: Plan, used: dict[str, str], room: Callable[[int], bool], pause: Callable[[float], None]
) -> tuple[int, int]:
    """Start the expected people's servers. Returns how many started, and how many were expected. Raises Refused."""
    accounts = plan.expected(hub.people(), used, datetime.now(ZoneInfo(plan.zone)))
    started = 0
    for account in accounts:
        if not room(1 + ROOM_FOR):
            break
        started += hub.start(account, pause)
    return started, len(accounts)


def main() -> None:
    """Keep the record, wait for classes and prepare each once, until the hub ends this process."""
    plan = Plan(**json.loads(sys.argv[2]))
    places = Places()
    hub = Hub(sys.argv[1], os.environ["JUPYTERHUB_API_TOKEN"], places.hub)
    memory, record = ClassMemory(plan.each, places.servers, plan.slice), Record(Path(plan.record))
    done: datetime | None = None
    looked = float("-inf")
    while True:
        try:
            if time.monotonic() - looked >= WHO:
                record.look(hub.people(), hub.up)
                looked = time.monotonic()
            begins = plan.due(datetime.now(ZoneInfo(plan.zone)))
            if begins and begins != done:
                started, expected = start_all(hub, plan, record.used or {}, memory.room, time.sleep)
                done = begins
                print(f"before the class at {begins:%a %H:%M}: started {started} of {expected} servers", flush=True)
        except (Refused, OSError, KeyError, TypeError, ValueError) as problem:
            # The hub itself is starting, or was restarted.
            print(f"before a class: {type(problem).__name__}: {problem}; it tries again", flush=True)
        time.sleep(LOOK)


if __name__ == "__main__":
    main()
