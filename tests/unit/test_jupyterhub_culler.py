"""Each role has its own time after which an unused server is stopped."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from tests.support.hub_config import FILES
from tests.support.loading import load

pytestmark = pytest.mark.unit

times = load(FILES / "class_inside/idle_times.py")

#: Starts the culler as the hub does, up to its first request, and asks its hook.
CULL = """
import json, sys
from datetime import timedelta
sys.path.insert(0, sys.argv.pop(1))
asked = json.loads(sys.argv.pop(1))
from jupyterhub_idle_culler import IdleCuller
from class_inside import culler, idle_times
idle_times.GRACE = 0
idle_times.groups_of = lambda account: {"ada": {"class", "students"}, "rivera": {"instructors"}}.get(account, set())
def start(app):
    def stops(account, minutes):
        inactive = timedelta(minutes=minutes)
        return app.cull_arbiter_hook(inactive=inactive, inactive_limit=1, server={"full_name": f"{account}/"})
    print(json.dumps([app.url, app.timeout, app.cull_every, [stops(*one) for one in asked]]))
IdleCuller.start = start
culler.main()
"""


def test_culler_stops_each_after_the_roles_time(hub_python: str) -> None:
    asked = [("ada", 119), ("ada", 120), ("rivera", 479), ("rivera", 480), ("checks", 4), ("checks", 5)]
    given = json.dumps({"seconds": 300, "groups": {"students": 7200, "instructors": 28800}})
    argv = [hub_python, "-B", "-c", CULL, str(FILES), json.dumps(asked), "/hub5/", given, "--cull-every=30"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [
        "http://localhost/hub5/hub/api", 300, 30, [False, True, False, True, False, True],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("groups", "seconds"),
    [
        ({"class", "students"}, 7200),
        ({"class"}, 300),
        (set(), 300),
        # Who teaches and takes part has the longer time.
        ({"students", "instructors"}, 28800),
    ],
)
def test_time_is_that_of_the_role(monkeypatch: pytest.MonkeyPatch, groups: set[str], seconds: int) -> None:
    monkeypatch.setattr(times, "groups_of", lambda account: groups if account == "ada" else set())
    idle: Any = times.IdleTimes(300, {"students": 7200, "instructors": 28800})
    assert idle.of("ada") == seconds
    assert idle.shortest == 300
    assert times.IdleTimes(0).shortest == 0


def test_groups_of_an_account() -> None:
    assert "root" in times.groups_of("root")
    assert times.groups_of("no-such-account") == set()
