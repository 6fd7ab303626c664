"""Errors of single owners: the others go on, and the errors are reported at the end."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Failures:
    """The errors of one command."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[int | None, OSError]] = {}

    @contextmanager
    def of(self, name: str, gid: int | None) -> Iterator[None]:
        """Around the work for one owner: an OSError ends it, and is kept. ``gid`` is the group of the directory."""
        try:
            yield
        except OSError as error:
            self._found.setdefault(name, (gid, error))

    def report(self) -> None:
        """Raise OSError if there were errors. It names the first owner by the group's number.

        The text goes to the journal, which students' names must not be in.
        """
        if not self._found:
            return
        gid, error = next(iter(self._found.values()))
        who = "somebody who left" if gid is None else f"the owner with group {gid}"
        count = f"{len(self._found)} owners failed, and the first is " if len(self._found) > 1 else ""
        raise OSError(f"{count}{who}: {error.strerror or type(error).__name__}") from error
