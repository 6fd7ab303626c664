"""Settings for tests with generated input (hypothesis)."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

#: Without a deadline, because other tests run at the same time. Without a database, because it would be in the
#: repository. In CI the same commit always gets the same input; elsewhere each run tries new input.
chance = settings(
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=bool(os.environ.get("CI")),
)
