"""Fixtures of the suite `data`: what happens to students' work in accidents.

The suite runs only when it is named: `./coursehub test data`. Tests that need a machine have the mark `machine`; the
others use real programs on this computer.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from tests.support.backups import here, root
from tests.support.deaths import Dying
from tests.support.hub import Hub
from tests.support.sandbox import Sandbox

__all__ = ["here", "root"]


@pytest.fixture(scope="session")
def small_course(sandbox: Sandbox) -> Callable[[str], Hub]:
    """Brings up a course with this name, once: the demo's people, two packages, a small machine of its own."""
    made: dict[str, Hub] = {}

    def bring_up(name: str) -> Hub:
        if name not in made:
            domain = f"{name}-{os.getpid()}.coursehub.test"
            sandbox.copy_course("demo", name, **{sandbox.domain("demo"): domain, "s-4vcpu-8gb": "s-2vcpu-4gb"})
            sandbox.lighten(name)
            made[name] = Hub(name, sandbox.json("up", name), sandbox)
        return made[name]

    return bring_up


@pytest.fixture(scope="session")
def dying(sandbox: Sandbox) -> Dying:
    """A small course on a machine of its own, to which the worst may happen."""
    return Dying.up(sandbox)
