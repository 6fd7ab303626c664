"""The result of the test that ran beside the other faults: a server whose dpkg was busy for three minutes."""

from __future__ import annotations

import json

import pytest

from tests.machine.conftest import Held
from tests.support.machine import one_line

pytestmark = [pytest.mark.machine, pytest.mark.timeout(1200)]


def test_a_second_runner_hears_of_the_first(held: Held) -> None:
    one_line(held.second, f"runs 'up' on it (process {held.first.pid}")


def test_fault_12_the_server_goes_on_without_its_runner(held: Held) -> None:
    """kill -9 of an ``up`` during its highstate; then SSH dies under the next ``up``, which waits for the first."""
    assert held.went_on
    assert held.waited
    one_line(held.cut, "SSH to")


def test_an_interrupted_up_goes_on(held: Held) -> None:
    assert held.third.returncode == 0, held.third.stderr
    document = json.loads(held.third.stdout)
    assert document["highstate"]["failed"] == 0
    assert all(check["ok"] for check in document["checks"]), document["checks"]
    assert held.again["changed"] == 0, held.again["changes"]
    # The pillar in clear.
    assert held.packed
    assert not any(path.exists() for path in held.packed)


def test_fault_15_a_held_dpkg_lock_is_waited_for(held: Held) -> None:
    # The lock was really held: the unit with the lock ran its three minutes, and up ended later.
    assert "Deactivated successfully" in held.journal
    assert held.third_ended > held.lock_ended
