"""A server that was converged by an earlier revision is brought to today's, and is then as a fresh one is."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from tests.support.hub import Hub
from tests.support.sandbox import REPO, Sandbox

pytestmark = [pytest.mark.machine, pytest.mark.timeout(900)]

#: What makes up a server, besides what a class does on it.
PACKAGES = "dpkg-query -W -f '${Package} ${Version}\\n'"
UNITS = "cd /etc/systemd/system && find . -type f -exec sha256sum {} + | sort -k 2"
ENVIRONMENTS = "readlink -f /opt/course/env /opt/jupyterhub/hub/current /opt/jupyterhub/proxy/current"


def git(*arguments: str) -> list[str]:
    done = subprocess.run(["git", *arguments], cwd=REPO, capture_output=True, text=True, check=False)
    return done.stdout.split()


def earlier() -> str | None:
    """The last release, or else the last revision before today's whose states were other ones."""
    released = git("tag", "--list", "v*", "--sort=-version:refname", "--merged", "HEAD~1")
    touched = git("log", "--format=%H", "-2", "--", "salt", "formulas", "pillar/hub.sls")
    return (released + touched[1:])[0] if released or len(touched) == 2 else None


def test_an_upgraded_server_is_as_a_fresh_one(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> None:
    revision = earlier()
    if revision is None:
        pytest.skip("this clone has no earlier revision of the states")
    sandbox = Sandbox.at(tmp_path_factory.mktemp("upgrade"), revision)
    try:
        old = Hub("demo", sandbox.json("up", "demo"), sandbox)
        course = sandbox.project.course_file("demo").read_text(encoding="utf-8")
        for part in ("salt", "formulas"):
            shutil.rmtree(sandbox.root / part)
        sandbox.bring_to_now()
        sandbox.project.course_file("demo").write_text(course, encoding="utf-8")

        assert sandbox.json("apply", "demo")["courses"]["demo"]["failed"] == 0
        assert sandbox.json("plan", "demo")["courses"]["demo"]["changes"] == []
        assert sandbox.json("check", "demo")["ok"]
        for what in (PACKAGES, UNITS, ENVIRONMENTS):
            assert old.run(what) == hub.run(what)
    finally:
        assert sandbox.run("local", "stop").returncode == 0
