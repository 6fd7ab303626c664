"""Every suite on every platform, by the wrapper, as a person would call it.

Order is not left to luck: one platform has ``state_aggregate`` (all packages in one transaction) on and the other off.
With it on the other the hub comes up in tests/machine, as a class's server does.
"""

from __future__ import annotations

from concurrent.futures import Future

import pytest

from tests.kitchen.side_by_side import CASES, Case

pytestmark = [pytest.mark.kitchen, pytest.mark.timeout(1800)]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_suite(case: Case, runs: dict[Case, Future[tuple[int, str]]]) -> None:
    """Converges, the second time changes nothing, and its own tests pass."""
    code, said = runs[case].result()
    print(said)
    assert code == 0, said.splitlines()[-1:]
