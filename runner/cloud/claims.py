"""Claims on a course, stored at the provider, so that two computers do not change one server at the same time.

A claim is a tag without resources. The API has no locks, but whoever makes a tag and then reads all tags sees every
earlier one. Two that start at the same moment may see each other, and both give up: the clocks of computers differ, so
the times do not show who was first.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from runner.cloud.calls import Calls
from runner.cloud.model import TAG

#: Seconds after which a claim belongs to a dead runner: more than a boot and the longest highstate together.
STALE = 45 * 60.0
_PREFIX = f"{TAG}-claim"


@dataclass(frozen=True, order=True)
class Claim:
    """Who works on a course, since when (seconds since 1970), from which working copy (``place``), with which verb."""

    since: int
    place: str
    verb: str
    who: str

    def tag(self, course_id: str) -> str:
        """The claim as a tag."""
        return f"{_PREFIX}:{course_id}:{self.since}:{self.place}:{self.verb}:{self.who}"


class Claims:
    """The claims of one account. Methods raise CoursehubError with one line."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def take(self, course_id: str, ours: Claim) -> Claim | None:
        """Make our claim. Return another's claim if somebody else is at work; ours is then removed again.

        Claims of dead runners are removed: those of our own working copy, whose lock we hold, and those that are too
        old.
        """
        self._calls.post("saying who works on the course", "tags", {"name": ours.tag(course_id)})
        for other in sorted(self._all(course_id)):
            if other == ours:
                continue
            if other.place == ours.place or time.time() - other.since > STALE:
                self.drop(course_id, other)
            else:
                self.drop(course_id, ours)
                return other
        return None

    def drop(self, course_id: str, claim: Claim) -> None:
        """Remove a claim. It is not an error if it is gone."""
        self._calls.delete("saying that nobody works on the course any more", f"tags/{claim.tag(course_id)}")

    def _all(self, course_id: str) -> list[Claim]:
        found = []
        for tag in self._calls.entries("reading who works on the course", "tags", "tags"):
            parts = str(tag["name"]).split(":")
            if len(parts) == 6 and parts[:2] == [_PREFIX, course_id] and parts[2].isdigit():
                found.append(Claim(int(parts[2]), *parts[3:]))
        return found
