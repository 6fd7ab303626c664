"""Hubs for the tests: one brought up by ``coursehub up``, shared by all tests that leave it as they found it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from runner.access import Access
from tests.support.sandbox import Sandbox


@dataclass(frozen=True)
class Hub:
    """A course that is up: its id, the document that ``up`` printed, and the working copy it was run in."""

    course: str
    document: dict[str, Any]
    sandbox: Sandbox

    def run(self, script: str, seconds: int = 120) -> str:
        """A shell script as root on the server."""
        return self.sandbox.on_server(self.course, script, seconds)


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """A working copy with a local cloud of its own, which is gone afterwards."""
    made = Sandbox.make(tmp_path_factory.mktemp("coursehub"))
    yield made
    if request.config.getoption("--keep") and request.session.testsfailed:
        print(f"\nkept: cd {made.root}")
        for directory in sorted((made.project.state / "servers").glob("*/")):
            access = Access(made.project, directory.name)
            server = access.server()
            if server:
                print(" ".join(access.argv(str(server.ip))))
        return
    done = made.run("local", "stop")
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def hub(sandbox: Sandbox) -> Hub:
    """The demo course on Debian 13."""
    return Hub("demo", sandbox.json("up", "demo"), sandbox)


@pytest.fixture(scope="session")
def hub12(sandbox: Sandbox) -> Hub:
    """The same course on Debian 12, on a small machine of its own."""
    sandbox.copy_course(
        "demo",
        "twelve",
        **{
            sandbox.domain("demo"): f"twelve-{os.getpid()}.coursehub.test",
            "debian-13-x64": "debian-12-x64",
            "s-4vcpu-8gb": "s-2vcpu-4gb",
        },
    )
    return Hub("twelve", sandbox.json("up", "twelve"), sandbox)
