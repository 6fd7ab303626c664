"""A server from an earlier revision is updated to today's and is then like a new one."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.support.hub import Hub
from tests.support.sandbox import REPO, Sandbox

pytestmark = [pytest.mark.machine, pytest.mark.long, pytest.mark.timeout(900)]


def git(*arguments: str) -> list[str]:
    done = subprocess.run(["git", *arguments], cwd=REPO, capture_output=True, text=True, check=False)
    return done.stdout.split()


def earlier() -> str:
    """The last release before HEAD, or else the last revision with different states."""
    released = git("tag", "--list", "v*", "--sort=-version:refname", "--merged", "HEAD~1")
    touched = git("log", "--format=%H", "-2", "--", "salt", "formulas", "pillar")
    if released or len(touched) == 2:
        return (released + touched[1:])[0]
    reason = "this copy of the repository has no earlier revision of the states; git fetch --unshallow --tags brings it"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def test_an_upgraded_server_is_as_a_fresh_one(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> None:
    revision = earlier()
    print(f"from {revision}")
    sandbox = Sandbox.at(tmp_path_factory.mktemp("upgrade"), revision)
    try:
        old = Hub("demo", sandbox.json("up", "demo"), sandbox)
        sandbox.bring_to_now()

        assert sandbox.json("apply", "demo")["courses"]["demo"]["failed"] == 0
        planned = sandbox.json("plan", "demo")["courses"]["demo"]
        assert (planned["would_change"], planned["changes"]) == (0, [])
        assert sandbox.json("check", "demo")["ok"]
        assert old.made_of() == hub.fresh
    finally:
        assert sandbox.run("local", "stop").returncode == 0
