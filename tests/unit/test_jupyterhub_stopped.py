"""Why a server does not run, as the hub's page explains it."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from tests.support.hub_config import FILES

pytestmark = pytest.mark.unit

ASK = """
import copy, json, sys
sys.path.insert(0, sys.argv[1])
from types import SimpleNamespace
from jupyterhub import orm
from class_inside import idle_times
from class_inside.stopped import Stops
idle_times.groups_of = lambda account: {"ada": {"class", "students"}}.get(account, set())
stops = Stops(idle_times.IdleTimes(300, {"students": 7200, "instructors": 28800}))
# As a configuration does.
pages = copy.deepcopy({"why_stopped": stops.for_pages()})
note = copy.deepcopy(stops.made_room())
for method, whose, service, name in json.loads(sys.argv[2]):
    if method == "ROOM":
        note(whose)
        continue
    stops.look(method, whose, orm.Service(name=name) if service else SimpleNamespace(name=name))
print(json.dumps(pages["why_stopped"](None)("ada")))
"""
CULLED = ["DELETE", "ada", True, "idle-culler"]


@pytest.mark.parametrize(
    ("happened", "why"),
    [
        ([CULLED], "It was stopped because nobody had used it for 120 minutes."),
        ([["DELETE", "ada", False, "rivera"]], "Your teacher stopped it."),
        ([["DELETE", "ada", False, "ada"]], ""),
        ([CULLED, ["POST", "ada", False, "ada"]], ""),
        ([["ROOM", "ada", True, ""]], "It was stopped because nobody used it, and others needed the memory."),
        ([["DELETE", "ben", True, "idle-culler"]], ""),
        # A student's account with that name is not the service.
        ([["DELETE", "ada", False, "idle-culler"]], "Your teacher stopped it."),
    ],
    ids=["culled", "teacher", "owner", "started-again", "made-room", "another", "namesake"],
)
def test_page_says_why_a_server_was_stopped(hub_python: str, happened: list[Any], why: str) -> None:
    argv = [hub_python, "-B", "-c", ASK, str(FILES), json.dumps(happened)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == why
