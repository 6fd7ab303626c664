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

from tests.support.hub_config import FILES

pytestmark = pytest.mark.unit

sys.path.insert(0, str(FILES))
try:
    from class_inside.before_class import (  # type: ignore[import-not-found]
        Hub,
        Plan,
        Record,
        Refused,
        start_all,
    )
finally:
    sys.path.remove(str(FILES))

PLAN = Plan(["Mon 09:00", "Wed 14:30"], "America/Los_Angeles", 900, 15, ["students"], 0, "class.slice", "/none")
RECENT = datetime.now(UTC).isoformat()
NAMES = ("amy", "slow", "broken", "zoe")
USED = dict.fromkeys(NAMES, RECENT)


def person(name: str, active: str | None = RECENT, group: str = "students", **servers: Any) -> dict[str, Any]:
    return {"name": name, "last_activity": active, "groups": [group], "servers": servers}


def server(started: str, active: str) -> dict[str, Any]:
    return {"ready": True, "started": started, "last_activity": active}


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
    plan = Plan(["Tue 00:05"], "Etc/UTC", 900, 15, [], 0, "", "/none")
    begins = plan.due(datetime.fromisoformat("2026-11-30T23:55:00+00:00"))
    assert begins == datetime.fromisoformat("2026-12-01T00:05:00+00:00")


@pytest.mark.parametrize(("day", "due"), [("2026-11-30", True), ("2026-12-14", False)])
def test_no_class_is_due_outside_the_term(day: str, due: bool) -> None:
    plan = Plan(["Mon 09:00"], "Etc/UTC", 900, 15, [], 0, "", "/none", ["2026-09-21", "2026-12-11"])
    assert bool(plan.due(datetime.fromisoformat(f"{day}T08:50:00+00:00"))) is due


def test_expected_are_those_who_came_lately_and_have_no_server() -> None:
    people = [person(name) for name in ("late", "never", "zoe", "amy")]
    people += [person("check", group="checks"), person("works", **{"": {"ready": True}})]
    used = {"late": "2026-11-01T10:00:00+00:00", "zoe": "2026-11-20T10:00:00.123456Z"}
    used |= dict.fromkeys(("amy", "check", "works"), "2026-11-29T10:00:00+00:00")
    assert PLAN.expected(people, used, datetime.fromisoformat("2026-11-30T16:50:00+00:00")) == ["amy", "zoe"]


def test_a_start_before_a_class_is_no_use_of_a_server(tmp_path: Path) -> None:
    """Otherwise whoever came once would be expected for ever: the hub counts each start as activity."""
    path = tmp_path / "before-class.json"
    first = Record(path)
    first.look([person("ada", "2026-11-02T10:00:00Z"), person("never", None)])
    assert first.used == {"ada": "2026-11-02T10:00:00Z"}
    record = Record(path)
    unused = server("2026-11-30T16:45:00Z", "2026-11-30T16:45:30Z")
    record.look([person("ada", "2026-11-30T16:45:30Z", **{"": unused})])
    assert record.used == first.used
    used = server("2026-11-30T16:45:00Z", "2026-11-30T17:01:00Z")
    record.look([person("ben", **{"": used})])
    assert Record(path).used == {"ada": "2026-11-02T10:00:00Z", "ben": "2026-11-30T17:01:00Z"}
    assert path.stat().st_mode & 0o777 == 0o600


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
        assert json.loads(self.rfile.read(int(self.headers["Content-Length"])))["before_class"] > 0
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
    handler = type("Course", (Answers,), {"people": {name: person(name) for name in NAMES}, "asked": []})

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
    assert start_all(api, PLAN, USED, lambda _: True, lambda _: None) == (3, 4)
    assert course.asked == ["amy", "broken", "slow", "zoe"]
    assert start_all(api, PLAN, USED, lambda _: True, lambda _: None) == (0, 1), "only the broken one is missing"


def test_no_server_starts_without_room_for_others(hub: tuple[Hub, type[Answers]]) -> None:
    api, course = hub
    rooms = iter([True, False])
    assert start_all(api, PLAN, USED, lambda _: next(rooms), lambda _: None) == (1, 4)
    assert course.asked == ["amy"]


def test_a_hub_that_does_not_answer_is_refused(tmp_path: Path) -> None:
    """The journal has no names, and the error goes there."""
    nobody = Hub("/", "token", tmp_path / "none.sock")
    with pytest.raises(Refused, match=r"^GET /users: FileNotFoundError$"):
        nobody.people()
    with pytest.raises(Refused, match=r"^POST /users: FileNotFoundError$"):
        nobody.start("zoe", lambda _: None)
