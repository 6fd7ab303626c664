"""What a server costs: per hour, per month, and for a course's term, in US dollars before tax."""

from __future__ import annotations

import calendar
import datetime
from dataclasses import asdict, dataclass
from typing import Any

from runner.cloud.model import Size
from runner.course import Term


@dataclass(frozen=True)
class Cost:
    """Prices in US dollars; ``term`` is None if the course file has no term."""

    hour: float
    month: float
    term: float | None

    def document(self) -> dict[str, Any]:
        """The prices for ``--json``."""
        return {**asdict(self), "line": self.line()}

    def line(self) -> str:
        """The prices as one line of text."""
        term = f", {self.term:.0f} for the term" if self.term is not None else ""
        return f"{self.hour:.3f} dollars an hour, {self.month:.0f} a month{term}"


def cost_of(size: Size, term: Term | None) -> Cost:
    """What a droplet of this size costs. It costs the same while it is off."""
    whole = None if term is None else _between(size, term.first, term.last)
    return Cost(size.price_hourly, size.price_monthly, whole)


def _between(size: Size, first: datetime.date, last: datetime.date) -> float:
    """The sum over the calendar months: hours are billed up to the monthly price."""
    total, day = 0.0, first
    while day <= last:
        end = min(last, day.replace(day=calendar.monthrange(day.year, day.month)[1]))
        total += min(((end - day).days + 1) * 24 * size.price_hourly, size.price_monthly)
        day = end + datetime.timedelta(days=1)
    return total
