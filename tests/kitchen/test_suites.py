"""Every suite on every platform, by the wrapper, as a person would call it.

Order is not left to luck: one platform has ``state_aggregate`` (all packages in one transaction) on and the other off.
The hub has it off on both: with it, as a class's server has it, tests/machine bring it up on both.
"""

from __future__ import annotations

from concurrent.futures import Future

import pytest

from tests.kitchen.side_by_side import INSTANCES, case_id
from tests.kitchen.wrapper.config import Instance

pytestmark = [pytest.mark.kitchen, pytest.mark.timeout(1800)]


@pytest.mark.parametrize("instance", INSTANCES, ids=case_id)
def test_suite(instance: Instance, runs: dict[str, Future[tuple[int, str]]]) -> None:
    """Converges, the second time changes nothing, and its own tests pass."""
    code, said = runs[instance.name].result()
    print(said)
    assert code == 0, said.splitlines()[-1:]
