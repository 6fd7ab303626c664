"""The hub's log: what people send begins no line of it."""

from __future__ import annotations

import subprocess

import pytest

from tests.support.sandbox import REPO

pytestmark = pytest.mark.unit

LIB = REPO / "formulas/jupyterhub/files"
SHOW = """
import logging, sys
sys.path.insert(0, sys.argv[1])
from class_inside.one_line import OneLine
look = OneLine(fmt="[%(name)s] %(message)s")
def show(message, *args, **more):
    print(look.format(logging.makeLogRecord({"msg": message, "args": args, "name": "hub", **more})))
show("No such server %r, %s", "a", "b\\n[hub] forged\\x1b[2J\\u2028\\x85c")
show("100% used")
show("x" * 9000 + "\\n[hub] forged")
try:
    raise ValueError("b\\n[hub] forged")
except ValueError:
    show("it failed", exc_info=sys.exc_info())
"""


def test_each_message_is_one_line(hub_python: str) -> None:
    done = subprocess.run([hub_python, "-B", "-c", SHOW, str(LIB)], capture_output=True, text=True, check=True)
    quoted, percent, cut, failed, *trace = done.stdout.splitlines()
    assert quoted == r"[hub] No such server 'a', b\n[hub] forged\x1b[2J\u2028\x85c"
    assert percent == "[hub] 100% used"
    assert cut.endswith("... (9013 characters)") and len(cut) < 4100
    assert failed == "[hub] it failed"
    assert trace and all(line.startswith("    ") for line in trace)
