"""Before a class, servers start for those who came lately: when, whose, and how many."""

from __future__ import annotations

import json
import socketserver
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from tests.unit.test_jupyterhub_config import FILES

pytestmark = pytest.mark.unit

sys.path.insert(0, str(FILES))
try:
    from class_inside.before_class import (  # type: ignore[import-not-found]
        Hub,
        Plan,
        Refused,
        start_all,
    )
finally:
    sys.path.remove(str(FILES))

PLAN = Plan(["Mon 09:00", "Wed 14:30"], "America/Los_Angeles", 900, 15, ["students"], 0, "class.slice")
RECENT = datetime.now(UTC).isoformat()


def person(name: str, active: str | None = RECENT, group: str = "students", **servers: Any) -> dict[str, Any]:
    return {"name": name, "last_activity": active, "groups": [group], "servers": servers}


@pytest.mark.parametrize(
    ("moment", "due"),
    [
        # 30 November 2026 is a Monday; Los Angeles is eight hours behind UTC.
        ("2026-11-30T16:44:59+00:00", None),
        ("2026-11-30T16:45:00+00:00", "Mon 09:00"),
        ("2026-11-30T16:59:59+00:00", "Mon 09:00"),
        ("2026-11-30T17:00:00+00:00", None),
        ("2026-12-02T22:20:00+00:00", "Wed 14:30"),
        # Daylight saving time has begun.
        ("2027-03-15T15:50:00+00:00", "Mon 09:00"),
    ],
)
def test_class_is_due_by_the_courses_clock(moment: str, due: str | None) -> None:
    begins = PLAN.due(datetime.fromisoformat(moment))
    assert (begins and f"{begins:%a %H:%M}") == due


def test_class_just_after_midnight_is_due_the_day_before() -> None:
    plan = Plan(["Tue 00:05"], "Etc/UTC", 900, 15, [], 0, "")
    begins = plan.due(datetime.fromisoformat("2026-11-30T23:55:00+00:00"))
    assert begins == datetime.fromisoformat("2026-12-01T00:05:00+00:00")


def test_expected_are_those_who_came_lately_and_have_no_server() -> None:
    people = [
        person("late", active="2026-11-01T10:00:00+00:00"),
        person("never", active=None),
        person("check", active="2026-11-30T10:00:00+00:00", group="checks"),
        person("works", active="2026-11-30T10:00:00+00:00", **{"": {"ready": True}}),
        person("zoe", active="2026-11-20T10:00:00.123456Z"),
        person("amy", active="2026-11-29T10:00:00+00:00"),
    ]
    assert PLAN.expected(people, datetime.fromisoformat("2026-11-30T16:50:00+00:00")) == ["amy", "zoe"]


class Answers(BaseHTTPRequestHandler):
    """A hub of a few people: `slow` starts only at the second question, `broken` never."""

    people: dict[str, dict[str, Any]]
    asked: list[str]

    def do_GET(self) -> None:
        name = self.path.rsplit("/", 1)[-1]
        if name.startswith("users?"):
            self._say(200, list(self.people.values()))
            return
        if name == "broken":
            self.people[name]["servers"] = {}
        found = dict(self.people[name], servers=dict(self.people[name]["servers"]))
        self.people[name]["servers"] = {key: {"ready": True} for key in found["servers"]}
        self._say(200, found)

    def do_POST(self) -> None:
        name = self.path.split("/")[-2]
        self.asked.append(name)
        waits = name in ("slow", "broken")
        self.people[name]["servers"] = {"": {"ready": not waits}}
        self._say(202 if waits else 201, None)

    def _say(self, status: int, document: Any) -> None:
        body = json.dumps(document).encode() if document is not None else b""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[tuple[Hub, type[Answers]]]:
    names = ("amy", "slow", "broken", "zoe")
    handler = type("Course", (Answers,), {"people": {name: person(name) for name in names}, "asked": []})

    class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
        def get_request(self) -> tuple[Any, Any]:
            return self.socket.accept()[0], ("", 0)

    with Server(str(tmp_path / "hub.sock"), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield Hub("/", "token", tmp_path / "hub.sock"), handler
        server.shutdown()
        thread.join()


def test_servers_start_one_after_another(hub: tuple[Hub, type[Answers]]) -> None:
    api, course = hub
    assert start_all(api, PLAN, lambda _: True, lambda _: None) == (3, 4)
    assert course.asked == ["amy", "broken", "slow", "zoe"]
    assert start_all(api, PLAN, lambda _: True, lambda _: None) == (0, 1), "only the broken one is missing"


def test_no_server_starts_without_room_for_others(hub: tuple[Hub, type[Answers]]) -> None:
    api, course = hub
    rooms = iter([True, False])
    assert start_all(api, PLAN, lambda _: next(rooms), lambda _: None) == (1, 4)
    assert course.asked == ["amy"]


def test_a_hub_that_does_not_answer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="GET /users"):
        Hub("/", "token", tmp_path / "none.sock").people()
