"""The providers that ``cloud:`` in a course file can name. A new one is one more file, and a line here."""

from __future__ import annotations

from runner.course import Course
from runner.providers.digitalocean import DigitalOcean
from runner.providers.kind import Kind
from runner.providers.local import Local

#: By the value in the course file.
KINDS: dict[str, Kind] = {"digitalocean": DigitalOcean(), "local": Local()}


def kind_of(course: Course) -> Kind:
    """The provider that a course file names."""
    return KINDS[course.cloud]
