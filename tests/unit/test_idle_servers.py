"""What must not stop an unused server, nor announce its stop: silences, other roles, facts that nobody knows."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.course_modules import said
from tests.support.lesson import FILES
from tests.support.loading import load
from tests.support.oidc import NODE
from tests.support.sandbox import REPO

pytestmark = pytest.mark.unit

INSIDE = REPO / "formulas/jupyterhub/files/class_inside"
idle, times, working = load(INSIDE / "idle.py"), load(INSIDE / "idle_times.py"), load(FILES / "class_server/working.py")
NOW = datetime(2026, 11, 30, 17, tzinfo=UTC)


# -- the culler ----------------------------------------------------------------------------------------------


def test_culler_waits_for_reports_after_the_hub_was_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers go on without the hub, for hours, but cannot report; the culler looks as soon as the hub is back."""
    monkeypatch.setattr(times, "groups_of", lambda _: {"students"})
    clock = [1000.0]
    stops = times.arbiter(times.IdleTimes(300, {"students": 7200}), lambda: clock[0])
    found = []
    for passed in (0.0, times.GRACE - 1, times.GRACE):
        clock[0] = 1000 + passed
        found.append(stops(inactive=timedelta(hours=3), inactive_limit=1, server={"full_name": "ada/"}))
    assert found == [False, False, True]


# -- who makes room for others -------------------------------------------------------------------------------


def early(up: float, used: float, cpu: float | None = 10.0, known: bool = True) -> Any:
    """A server that was asked for before a class at NOW; it answered, and was last used, so many seconds later."""
    moments = [(NOW + timedelta(seconds=seconds)).replace(tzinfo=None) for seconds in (1, max(up, used))]
    return SimpleNamespace(
        user=SimpleNamespace(name="ada", groups=[]), ready=True, user_options={idle.EARLY: NOW.timestamp()}, cpu=cpu,
        orm_spawner=SimpleNamespace(started=moments[0], last_activity=moments[1]),
        up=NOW.timestamp() + up if known else 0.0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("up", "used", "known", "is_early"),
    [(5, 0, True, True), (178, 0, True, True), (178, 320, True, False), (5, 130, True, False), (5, 130, False, False)],
    ids=["soon", "slow", "slow-used", "used", "hub-restarted"],
)
def test_slow_start_before_a_class_is_no_use(up: float, used: float, known: bool, is_early: bool) -> None:
    """On a busy machine a start takes minutes; then the server reports the time at which it came up."""
    assert idle.is_early(early(up, used, known=known)) == is_early


def test_slow_start_before_a_class_expects_nobody(tmp_path: Path) -> None:
    """Otherwise the next class starts a server again for somebody who never comes."""
    sys.path.insert(0, str(INSIDE.parent))
    try:
        from class_inside.before_class import Record
    finally:
        sys.path.remove(str(INSIDE.parent))
    record = Record(tmp_path / "record.json")
    record.used = {}
    moments = {name: (NOW + timedelta(seconds=seconds)).isoformat() for name, seconds in (("up", 178), ("used", 320))}
    for active, used in (("up", set()), ("used", {"ada"})):
        server = {"started": NOW.isoformat(), "last_activity": moments[active]}
        record.look([{"name": "ada", "servers": {"": server}}], {"ada": NOW.timestamp() + 178})
        assert set(record.used) == used


def test_server_of_which_nobody_knows_the_cpu_is_kept() -> None:
    look = idle.Unused(1800, [], lambda one: one.cpu)
    for cpu, stopped in ((None, False), (10.0, True)):
        one, began = early(5, 0, cpu), NOW + timedelta(seconds=600)
        look.find([one], began)
        assert (look.find([one], began + timedelta(seconds=idle.SETTLE)) is one) == stopped


def test_cpu_where_there_is_only_cgroup_1(tmp_path: Path) -> None:
    """As systemd mounts it, or as a link to that; the counter has nanoseconds."""
    own = tmp_path / "cgroup"
    own.write_text(
        "5:memory:/class.slice/jupyter-ada.service\n3:cpu,cpuacct:/class.slice/jupyter-ada.service\n1:name=systemd:/x\n"
    )
    for mounted in ("cpuacct", "cpu,cpuacct"):
        root = tmp_path / f"only {mounted}"
        assert idle.cpu_seconds("class.slice", "jupyter-ada", root) is None
        file = root / mounted / "class.slice/jupyter-ada.service/cpuacct.usage"
        file.parent.mkdir(parents=True)
        file.write_text("2500000000\n")
        assert idle.cpu_seconds("class.slice", "jupyter-ada", root) == 2.5
    assert working.unit(own, root) == 2.5
    assert working.unit(own, tmp_path) is None
    everybody = root / "cpu,cpuacct/class.slice/cpuacct.usage"
    everybody.write_text("9000000000\n")
    own.write_text("3:cpu,cpuacct:/class.slice\n")
    assert working.unit(own, root) is None


# -- in the server: roles, and what pages ask ----------------------------------------------------------------

GROUPS = """
import json, os
from types import SimpleNamespace
from class_lab import idle
there = {"people": (1000, ["students"]), "class": (1001, []), "students": (1002, []), "instructors": (1003, [])}
idle.pwd.getpwuid = lambda number: SimpleNamespace(pw_name="ada", pw_gid=1000)
idle.grp.getgrall = lambda: [SimpleNamespace(gr_name=name, gr_gid=number) for name, (number, _) in there.items()]
found = []
for numbers in ([1000, 1001, 1002], [1000, 1001, 1003]):
    os.getgrouplist = lambda name, own: numbers
    found.append(idle.own_groups())
def nobody(number):
    raise KeyError(number)
idle.pwd.getpwuid = nobody
print(json.dumps([*found, idle.own_groups()]))
"""


def test_role_that_changes_while_the_server_runs_counts(course_python: str) -> None:
    assert said(course_python, GROUPS) == [["people", "class", "students"], ["people", "class", "instructors"], []]


# -- in Lab's page -------------------------------------------------------------------------------------------

#: Loads the page part as Lab's loader does, lets five minutes pass, and prints how often it asked.
PAGE = """
const [path, status] = process.argv.slice(1);
let asked = 0;
const timers = new Map();
globalThis.window = {};
globalThis.setInterval = look => timers.set(timers.size, look) && timers.size - 1;
globalThis.clearInterval = timer => timers.delete(timer);
class ResponseError extends Error {
  constructor(response) { super(); this.response = response; }
}
const made = {
  ServerConnection: {
    ResponseError,
    makeRequest: async () => {
      asked += 1;
      return { ok: status === '200', status: Number(status), json: () => ({ minutes: null }) };
    },
  },
  URLExt: { join: (...parts) => parts.join('') },
};
const anything = new Proxy(made, { get: (all, name) => name === 'then' ? undefined : all[name] ?? class {} });
const scope = new Proxy({}, { get: () => ({ 1: { get: async () => () => anything } }) });
require(path);
(async () => {
  const page = window._JUPYTERLAB['coursehub-class'];
  page.init(scope);
  const idle = (await page.get())().default.find(plugin => plugin.id === 'coursehub-class:idle');
  idle.activate({ started: Promise.resolve(), serviceManager: { serverSettings: { baseUrl: '/' } } });
  for (let minute = 0; minute < 5; minute += 1) {
    await new Promise(done => setImmediate(done));
    timers.forEach(look => look());
  }
  await new Promise(done => setImmediate(done));
  console.log(asked);
})();
"""


@pytest.mark.parametrize(("status", "asked"), [("200", 6), ("503", 6), ("424", 6), ("404", 1)])
def test_page_asks_a_server_that_knows_no_answer_once(status: str, asked: int) -> None:
    """After an upgrade Lab's page is new, and a server that runs on is not. One that is away is asked again."""
    page = FILES / "labextension/static/remoteEntry.js"
    done = subprocess.run([NODE, "-e", PAGE, page, status], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == (f"{asked}\n", "")
