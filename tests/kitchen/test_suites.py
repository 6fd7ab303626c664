"""Every suite on every platform, with the wrapper, as a person would run it.

A run of all suites has a few of them, on the newest platform: tests/machine brings a whole hub up on it.

One platform has ``state_aggregate`` (all packages in one transaction), the other does not, so that both orders are
tested. The hub never has it here; tests/machine run it with aggregation, as on a class's server, on both platforms.
"""

from __future__ import annotations

from concurrent.futures import Future

import pytest

from tests.kitchen.side_by_side import CASES
from tests.kitchen.wrapper.config import Instance

pytestmark = [pytest.mark.kitchen, pytest.mark.timeout(1800)]


@pytest.mark.parametrize("instance", CASES)
def test_suite(instance: Instance, runs: dict[str, Future[tuple[int, str]]]) -> None:
    """Converges, changes nothing the second time, and its own tests pass."""
    code, said = runs[instance.name].result()
    print(said)
    assert code == 0, said.splitlines()[-1:]
