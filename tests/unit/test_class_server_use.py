"""What counts as use of a student's server, and when Lab says that it stops. In a course's environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.course_modules import said
from tests.support.lesson import FILES
from tests.support.loading import load

pytestmark = pytest.mark.unit

working = load(FILES / "class_server/working.py")

#: A server like a student's whose websockets and requests are real; its clock is moved by hand. Each line of what is
#: asked has what happens, and afterwards the minutes since the last use are printed.
SERVER = """
import asyncio, json, os
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from class_server import activity

class Clock(datetime):
    moved = timedelta()
    @classmethod
    def now(cls, zone=None):
        return datetime.now(zone) + cls.moved

activity.datetime = Clock
programs = SimpleNamespace(busy=False, working=lambda: programs.busy)
activity.Programs = lambda: programs
begun = Clock.now(UTC)
kernels = SimpleNamespace(last_kernel_activity=begun)
begin = activity.count_use

from jupyter_server.base.handlers import APIHandler
from jupyter_server.serverapp import ServerWebApplication
from tornado.websocket import WebSocketHandler, WebSocketProtocol13

settings = {"started": begun, "kernel_manager": kernels, "last_activity_times": {}}
terminals = {}
settings["terminal_manager"] = SimpleNamespace(terminals=terminals)
app = SimpleNamespace(settings=settings)

def request(method, path, track=True):
    handler = SimpleNamespace(
        request=SimpleNamespace(method=method, path=path), settings=settings, _track_activity=track,
        _jupyter_current_user="ada", get_argument=lambda *_: None,
    )
    import jupyter_server.base.handlers as handlers
    handlers.utcnow = lambda: Clock.now(UTC)
    APIHandler.update_api_activity(handler)

def message(path, text):
    handler = WebSocketHandler.__new__(WebSocketHandler)
    handler.request = SimpleNamespace(path=path)
    handler.on_message = lambda *_: None
    handler.log_exception = print
    protocol = WebSocketProtocol13.__new__(WebSocketProtocol13)
    protocol.handler = handler
    protocol._run_callback(handler.on_message, text)

def answer(path, text):
    handler = WebSocketHandler.__new__(WebSocketHandler)
    handler.request = SimpleNamespace(path=path)
    handler.ws_connection = SimpleNamespace(is_closing=lambda: False, write_message=lambda *_, **__: asyncio.Future())
    async def write():
        handler.write_message(text)
    asyncio.run(write())

def kernel():
    kernels.last_kernel_activity = Clock.now(UTC)

def prints():
    terminals["1"] = SimpleNamespace(last_activity=Clock.now(UTC))

def computes(now):
    programs.busy = now

found = []
for happened in json.loads(sys.argv[3]):
    # Each story in a process of its own, as it changes Jupyter's classes.
    reader, writer = os.pipe()
    if os.fork() == 0:
        begin(float(sys.argv[2]))
        ages = []
        for pause, name, *arguments in happened:
            Clock.moved += timedelta(minutes=pause)
            globals()[name](*arguments)
            ages.append(round((Clock.now(UTC) - ServerWebApplication.last_activity(app)).total_seconds() / 60))
        os.write(writer, json.dumps(ages).encode())
        os._exit(0)
    os.close(writer)
    found.append(json.loads(os.read(reader, 999)))
print(json.dumps(found))
"""
DAY = 24 * 60
USER = "/user/ada"
TERMINAL, KERNEL, EXTENSION = (
    f"{USER}/terminals/websocket/1", f"{USER}/api/kernels/abc/channels", f"{USER}/proxy/5000/socket"
)  # fmt: skip


def ages(python: str, *stories: list[tuple[Any, ...]]) -> list[list[int]]:
    """For each story the minutes since the last use after each of its steps.

    A step is the minutes of waiting before it, what happens, and with what.
    """
    found: list[list[int]] = said(python, SERVER, str(DAY * 60), json.dumps(stories))
    return found


USE = (
    ("request", "PUT", f"{USER}/api/contents/lab1.ipynb"),
    ("request", "POST", f"{USER}/api/sessions"),
    ("request", "DELETE", f"{USER}/api/contents/old.ipynb"),
    ("request", "POST", f"{USER}/class/idle"),
    ("message", TERMINAL, '["stdin", "ls"]'),
    ("message", KERNEL, '{"header": {"msg_type": "execute_request"}}'),
    ("message", EXTENSION, "click"),
    ("answer", EXTENSION, "a frame of a simulation"),
    ("kernel",),
    ("prints",),
    ("computes", True),
)


def test_use_is_noticed(course_python: str) -> None:
    found = ages(course_python, *([(100, *what)] for what in USE))
    assert {what: age for what, [age] in zip(USE, found, strict=True) if age} == {}


PAGES_OWN = (
    ("request", "GET", f"{USER}/api/contents"),
    ("request", "HEAD", f"{USER}/api/sessions"),
    ("request", "GET", f"{USER}/class/idle"),
    ("request", "PUT", f"{USER}/lab/api/workspaces/default"),
    ("request", "POST", f"{USER}/api/sessions", False),
    ("message", TERMINAL, '["set_size", 24, 80]'),
    ("message", KERNEL, '{"header": {"msg_type": "kernel_info_request"}}'),
    ("message", KERNEL, '{"header": {"msg_type": "history_request"}}'),
    ("message", KERNEL, '{"header": {"msg_type": "list_subshell_request"}}'),
    ("message", f"{USER}/api/events/subscribe", "{}"),
    ("answer", f"{USER}/api/events/subscribe", "{}"),
)


def test_what_a_page_does_itself_is_no_use(course_python: str) -> None:
    found = ages(course_python, *([(100, *what)] for what in PAGES_OWN))
    assert {what: age for what, [age] in zip(PAGES_OWN, found, strict=True) if age != 100} == {}


ALONE = (
    ("computes", True),
    ("kernel",),
    ("prints",),
    ("message", EXTENSION, "poll"),
    # Lab saves a notebook that a running cell changes, and makes a checkpoint of it.
    ("request", "PUT", f"{USER}/api/contents/lab1.ipynb"),
    ("request", "POST", f"{USER}/api/contents/lab1.ipynb/checkpoints"),
)


def test_work_without_a_person_counts_for_a_day(course_python: str) -> None:
    """An endless loop keeps no server for ever, and a person who comes back keeps it for another day."""
    typed = ("message", TERMINAL, '["stdin", "x"]')
    stories = [[(DAY - 1, *what), (61, *what), (0, *typed), (DAY - 1, *what)] for what in ALONE]
    found = ages(course_python, *stories)
    assert {what: age for what, age in zip(ALONE, found, strict=True) if age != [0, 60, 0, 0]} == {}


def test_computing_programs_are_noticed() -> None:
    """A part of a processor, over at least half a minute; the verdict holds until the next look."""
    cpu, clock = [10.0], [0.0]
    programs = working.Programs(lambda: cpu[0], lambda: clock[0], set)
    found = []
    for passed, used in ((10, 10.0), (50, 0.0), (60, 0.5), (60, 30.0), (5, 0.0), (60, 0.0)):
        clock[0] += passed
        cpu[0] += used
        found.append(programs.working())
    assert found == [False, True, False, True, True, False]


def test_nothing_computes_where_nobody_knows() -> None:
    clock = [0.0]
    programs = working.Programs(lambda: None, lambda: clock[0], set)
    clock[0] = 100
    assert programs.working() is False


def test_a_program_that_gets_no_processor_computes_too() -> None:
    """On a server where many compute: at two looks one after the other the same one could have run."""
    clock, wants = [0.0], [set()]
    programs = working.Programs(lambda: 1.0, lambda: clock[0], lambda: wants[0])
    found = []
    for wanted in ({"7"}, set(), {"7"}, {"7", "8"}, {"8"}, {"9"}, set()):
        clock[0] += 60
        wants[0] = wanted
        found.append(programs.working())
    assert found == [False, False, False, True, True, False, False]


@pytest.mark.parametrize("mounted", ["", "unified"], ids=["cgroup2", "both"])
def test_who_wants_a_processor(tmp_path: Path, mounted: str) -> None:
    """Real processes: one that computes and one that sleeps, in a group whose files are written here."""
    own = tmp_path / "cgroup"
    own.write_text("5:memory:/elsewhere\n0::/class.slice/jupyter-ada.service\n")
    assert working.who_wants(own, tmp_path) == set()
    members = tmp_path / mounted / "class.slice/jupyter-ada.service/cgroup.procs"
    members.parent.mkdir(parents=True)
    found = []
    for program in ("while True: pass", "import time; time.sleep(600)"):
        with subprocess.Popen([sys.executable, "-c", program]) as process:
            members.write_text(f"{os.getpid()}\n{process.pid}\n999999999\n")
            time.sleep(2)
            found.append([working.who_wants(own, tmp_path) == {str(process.pid)} for _ in range(5)])
            process.kill()
    assert found == [[True] * 5, [False] * 5]


@pytest.mark.parametrize("mounted", ["", "unified"], ids=["cgroup2", "both"])
def test_cpu_of_the_own_unit(tmp_path: Path, mounted: str) -> None:
    """Where systemd uses version 1 for limits, other lines may name groups that are not the unit's own."""
    own = tmp_path / "cgroup"
    own.write_text("3:cpuacct:/\n5:memory:/elsewhere\n0::/class.slice/jupyter-ada.service\n")
    assert working.unit(own, tmp_path) is None
    file = tmp_path / mounted / "class.slice/jupyter-ada.service/cpu.stat"
    file.parent.mkdir(parents=True)
    file.write_text("usage_usec 2500000\nuser_usec 1\n")
    assert working.unit(own, tmp_path) == 2.5
    assert working.unit(tmp_path / "none", tmp_path) is None


LEFT = """
import json
from pathlib import Path
from class_lab import idle
found = []
for text, groups, minutes in json.loads(sys.argv[3]):
    Path(sys.argv[2]).write_text(text)
    seconds = idle.limit(groups, Path(sys.argv[2]))
    found.append([seconds, idle.minutes_left(minutes * 60, seconds)])
print(json.dumps(found))
"""
TIMES = '{"seconds": 300, "groups": {"students": 7200, "instructors": 28800}}'
#: Settings, groups of a person, minutes without use; the limit in seconds, and the minutes that Lab shows.
STOPS: list[tuple[str, list[str], int, list[int | None]]] = [
    (TIMES, ["class", "students"], 109, [7200, None]),
    (TIMES, ["class", "students"], 112, [7200, 8]),
    (TIMES, ["class", "students"], 121, [7200, 0]),
    (TIMES, ["class", "instructors"], 121, [28800, None]),
    (TIMES, ["checks"], 3, [300, None]),
    (TIMES, ["checks"], 4, [300, 1]),
    (TIMES, ["students", "instructors"], 475, [28800, 5]),
    # Nobody is stopped, or the file says nothing.
    *((text, ["students"], 10_000, [0, None]) for text in ('{"seconds": 0, "groups": {}}', "", "[]", '{"seconds": 1}')),
]


def test_lab_says_when_the_server_stops(course_python: str, tmp_path: Path) -> None:
    asked = json.dumps([case[:3] for case in STOPS])
    found = said(course_python, LEFT, str(tmp_path / "class_idle.json"), asked)
    assert found == [expected for *_, expected in STOPS]
