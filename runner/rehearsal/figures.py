"""Statistics of a rehearsal."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from runner.rehearsal.student import STEPS, Record

#: The last row of the table: from the sign-in page to a kernel that answers.
FIRST_ANSWER = "first answer"


def percentile(values: Sequence[float], per_cent: float) -> float:
    """The nearest-rank percentile: the smallest value that ``per_cent`` of the values do not exceed.

    ``values`` must not be empty.
    """
    ordered = sorted(values)
    return ordered[max(math.ceil(len(ordered) * per_cent / 100), 1) - 1]


def summary(values: Iterable[float]) -> dict[str, float | int]:
    """Count, p50, p95 and maximum; only the count if there are no values."""
    known = list(values)
    if not known:
        return {"count": 0}
    return {
        "count": len(known),
        "p50": round(percentile(known, 50), 2),
        "p95": round(percentile(known, 95), 2),
        "max": round(max(known), 2),
    }


def document(records: Sequence[Record]) -> dict[str, Any]:
    """Each step's figures in seconds, how many students finished, and why the others did not."""
    steps = {step: summary(one.seconds[step] for one in records if step in one.seconds) for step in STEPS}
    steps[FIRST_ANSWER] = summary(one.first_answer for one in records if one.first_answer is not None)
    failures = Counter(f"{one.failed_at}: {one.why}" for one in records if one.failed_at)
    return {
        "students": len(records),
        "served": sum(not one.failed_at for one in records),
        "steps": steps,
        "failures": dict(failures.most_common()),
        "requests": sum(one.requests for one in records),
        "megabytes": round(sum(one.received for one in records) / 1e6, 1),
    }
