"""Failures at the CA, kept between runs so that nobody hammers it."""

from __future__ import annotations

import dataclasses
import json

from coursehub_cert import places

TRIES_PER_HOUR = 3
BACKOFF = (300, 900, 3600, 6 * 3600, 12 * 3600)
RATE_LIMITED = 6 * 3600


@dataclasses.dataclass
class Tries:
    """When the CA was asked in vain. Times are seconds since the epoch."""

    failed_at: list[float] = dataclasses.field(default_factory=list)
    not_before: float = 0.0
    message: str = ""

    def may_try(self, now: float, timer: bool) -> str:
        """Why the CA is left alone now, or an empty string. People may try sooner than the timer."""
        recent = [at for at in self.failed_at if now - at < 3600]
        if len(recent) >= TRIES_PER_HOUR:
            return f"tried {len(recent)} times within the hour; next try in {_span(recent[0] + 3600 - now)}"
        if timer and now < self.not_before:
            return f"next try in {_span(self.not_before - now)}"
        return ""

    def failed(self, now: float, message: str) -> None:
        """Note a failure; the next tries come at growing distances."""
        self.failed_at = [*[at for at in self.failed_at if now - at < 7 * 86400][-20:], now]
        wait = BACKOFF[min(len(self.failed_at), len(BACKOFF)) - 1]
        if "ratelimited" in message.replace(" ", "").lower() or "toomany" in message.replace(" ", "").lower():
            wait = max(wait, RATE_LIMITED)
        self.not_before = now + wait
        self.message = message


def _span(seconds: float) -> str:
    minutes = max(1, round(seconds / 60))
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h"


def load() -> Tries:
    """What earlier runs noted; nothing, if that cannot be read."""
    try:
        return Tries(**json.loads((places.STATE / "tries.json").read_text()))
    except (OSError, ValueError, TypeError):
        return Tries()


def save(tries: Tries) -> None:
    """Keep the failures for the next run."""
    places.write_atomically(places.STATE / "tries.json", json.dumps(dataclasses.asdict(tries)))
