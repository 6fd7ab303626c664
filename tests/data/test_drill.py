"""A drill on real machines: it restores, compares and signs in, leaves nothing, and finds a backup that is damaged."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runner import local
from tests.support import odd_files
from tests.support.hub import Hub
from tests.support.sandbox import Sandbox

pytestmark = [pytest.mark.machine, pytest.mark.timeout(1800)]
COURSE, STUDENT, OTHER = "drilled", "abello", "bcarter"


@pytest.fixture(scope="module")
def hub(small_course: Callable[[str], Hub]) -> Hub:
    hub = small_course(COURSE)
    odd_files.make(hub, STUDENT, other=OTHER)
    hub.run(f"runuser -u {STUDENT} -- sh -c 'head -c 20M /dev/urandom > ~/large'")
    hub.sandbox.json("backup", COURSE)
    return hub


def machines(sandbox: Sandbox) -> list[str]:
    return sorted(one.name for one in local.status(sandbox.project.state).machines)


@pytest.fixture(scope="module")
def drilled(hub: Hub, sandbox: Sandbox) -> dict[str, Any]:
    before, names = odd_files.describe(hub, "/home", "/srv/class"), machines(sandbox)
    document = sandbox.json("drill", COURSE, "--yes", seconds=1500)
    assert odd_files.describe(hub, "/home", "/srv/class") == before
    assert machines(sandbox) == names, "the drill's machine is gone"
    return document


def test_drill_compares_each_home_and_signs_in(drilled: dict[str, Any]) -> None:
    print(json.dumps({key: drilled[key] for key in ("seconds", "steps", "files", "bytes") if key in drilled}))
    assert (drilled["error"], drilled["differ"]) == (None, [])
    assert drilled["account"] == STUDENT
    assert drilled["bytes"] > 20 << 20
    assert set(drilled["parts"]) <= {"restored", "kept", "skipped"}


def test_last_drill_is_in_status(drilled: dict[str, Any], sandbox: Sandbox) -> None:
    del drilled
    shown = sandbox.run("status", COURSE)
    assert "drill: " in shown.stdout, shown.stdout
    assert "failed" not in shown.stdout.split("drill: ")[1].splitlines()[0]


def test_drill_finds_a_damaged_backup(hub: Hub, drilled: dict[str, Any], sandbox: Sandbox) -> None:
    """One byte in the file with most of the student's data."""
    del hub, drilled
    packs = [path for path in Path(sandbox.project.state, "backups").rglob("data/*/*") if path.is_file()]
    pack = max(packs, key=lambda path: path.stat().st_size)
    good = pack.read_bytes()
    pack.write_bytes(good[: len(good) // 2] + bytes([good[len(good) // 2] ^ 1]) + good[len(good) // 2 + 1 :])
    try:
        done = sandbox.run("drill", COURSE, "--yes", seconds=1500)
    finally:
        pack.write_bytes(good)
    print(done.stderr.splitlines()[-1])
    assert done.returncode == 1
    assert "the drill failed: " in done.stderr
    assert "verification failed" in done.stderr or "not everything could be restored (1 partly)" in done.stderr
    assert "failed: " in sandbox.run("status", COURSE).stdout.split("drill: ")[1].splitlines()[0]
