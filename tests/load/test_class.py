"""A class at 9 o'clock: not part of `./coursehub test`; run by `./coursehub test load`, best on an idle computer.

COURSEHUB_STUDENTS (24), COURSEHUB_OVER (0 seconds); --hub COURSE asks a hub that is up. What was measured is printed
and kept in .coursehub/load/.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from runner.rehearsal import advice
from tests.support.hub import Hub
from tests.support.sandbox import REPO

pytestmark = [pytest.mark.machine, pytest.mark.timeout(1800)]

STUDENTS = int(os.environ.get("COURSEHUB_STUDENTS", "24"))
OVER = float(os.environ.get("COURSEHUB_OVER", "0"))
#: What a person of a rehearsal could leave: accounts, homes, processes, units, rows of the hub, names in groups.
_TRACES = r"""
getent passwd | grep '^rehearsal-'; ls -d /home/rehearsal-* 2> /dev/null; ps -eo user:40= | grep '^rehearsal-'
systemctl list-units --all --plain --no-legend 'jupyter-rehearsal-*'
grep rehearsal- /etc/group /etc/shadow /etc/sub[ug]id
python3 -I -c '
import sqlite3
hub = sqlite3.connect("/srv/jupyterhub/jupyterhub.sqlite")
print(*hub.execute("select name from users where name like ?", ["rehearsal-%"]))'
true
"""


def rehearse(hub: Hub, students: int, over: float) -> dict[str, Any]:
    """The document of a rehearsal, which is kept and shown."""
    done = hub.sandbox.json("rehearse", hub.course, "--students", str(students), "--over", str(over), seconds=1700)
    print("\n".join([f"\n{keep(str(students), done)}", *advice.lines(done)]))
    return done


def keep(name: str, done: dict[str, Any]) -> Path:
    """Keep what was measured; return the file."""
    directory = REPO / ".coursehub" / "load"
    directory.mkdir(parents=True, exist_ok=True)
    path = Path(directory, f"{time.strftime('%Y%m%d-%H%M%S')}-{name}.json")
    path.write_text(json.dumps(done, indent=2), encoding="utf-8")
    return path


def test_whole_class_gets_a_kernel_at_once(hub: Hub) -> None:
    done = rehearse(hub, STUDENTS, OVER)
    assert done["failures"] == {}
    assert done["served"] == STUDENTS
    assert done["megabytes"] > STUDENTS, "Lab's own files were not loaded"


def test_rehearsal_leaves_nothing_behind(hub: Hub) -> None:
    rehearse(hub, 2, 0)
    assert hub.run(_TRACES).strip() == ""
