"""Failures at the CA, kept between runs so that it is not asked too often."""

from __future__ import annotations

import dataclasses
import datetime
import json
import re

from coursehub_cert import places

TRIES_PER_HOUR = 3
BACKOFF = (300, 900, 3600, 6 * 3600, 12 * 3600)
RATE_LIMITED = 6 * 3600
#: What Let's Encrypt says when there were five certificates for the same names in a week, for example.
_RETRY_AFTER = re.compile(r"retry after (\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d) ?(?:UTC|Z)", re.IGNORECASE)


@dataclasses.dataclass
class Tries:
    """When requests to the CA failed. Times are seconds since the epoch."""

    failed_at: list[float] = dataclasses.field(default_factory=list)
    not_before: float = 0.0
    #: Until when the CA refuses orders, as it said itself; 0 if it did not say.
    limited_until: float = 0.0
    message: str = ""

    def may_try(self, now: float, timer: bool) -> str:
        """Return why the CA must not be asked now, or an empty string. People may try sooner than the timer."""
        if now < self.limited_until:
            return f"it takes no order before {_moment(self.limited_until)}"
        recent = [at for at in self.failed_at if now - at < 3600]
        if len(recent) >= TRIES_PER_HOUR:
            return f"tried {len(recent)} times within the hour; next try in {_span(recent[0] + 3600 - now)}"
        if timer and now < self.not_before:
            return f"next try in {_span(self.not_before - now)}"
        return ""

    def next_try(self, now: float) -> str:
        """Return when the timer asks again, as text for people."""
        if now < self.limited_until:
            return f"the CA takes the next order at {_moment(self.limited_until)}, and the timer sends it then"
        return f"the timer tries again in {_span(self.not_before - now)}"

    def failed(self, now: float, message: str) -> None:
        """Note a failure; the waiting time until the next try grows."""
        self.failed_at = [*[at for at in self.failed_at if now - at < 7 * 86400][-20:], now]
        wait = BACKOFF[min(len(self.failed_at), len(BACKOFF)) - 1]
        if "ratelimited" in message.replace(" ", "").lower() or "toomany" in message.replace(" ", "").lower():
            wait = max(wait, RATE_LIMITED)
        self.limited_until = retry_after(message)
        self.not_before = max(now + wait, self.limited_until)
        self.message = message


def retry_after(message: str) -> float:
    """Return when the CA accepts the next order, in seconds since the epoch; 0 if its message does not say."""
    found = _RETRY_AFTER.search(message)
    return datetime.datetime.fromisoformat(f"{found[1]}T{found[2]}+00:00").timestamp() if found else 0.0


def _moment(at: float) -> str:
    # In the server's own time zone, which is the course's.
    return f"{datetime.datetime.fromtimestamp(at).astimezone():%d %B %H:%M %Z}"


def _span(seconds: float) -> str:
    minutes = max(1, round(seconds / 60))
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h"


def load() -> Tries:
    """Return what earlier runs saved; nothing if that cannot be read."""
    try:
        return Tries(**json.loads((places.STATE / "tries.json").read_text()))
    except (OSError, ValueError, TypeError):
        return Tries()


def save(tries: Tries) -> None:
    """Save the failures for the next run."""
    places.write_atomically(places.STATE / "tries.json", json.dumps(dataclasses.asdict(tries)))
