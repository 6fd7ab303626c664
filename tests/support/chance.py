"""How tests over made-up input (hypothesis) are run."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

#: No deadline and no wish for speed: other work runs beside. No database: it would lie in the repository. In CI the
#: same commit meets the same input each time; everywhere else each run tries others.
chance = settings(
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=bool(os.environ.get("CI")),
)
