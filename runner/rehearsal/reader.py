"""A student who signs in and reads one of their own files in a kernel."""

from __future__ import annotations

import asyncio

from runner.errors import CoursehubError
from runner.rehearsal.accounts import Person
from runner.rehearsal.student import Place, Student

_HASH = """
import hashlib
with open({path!r}, "rb") as file:
    print(hashlib.sha256(file.read()).hexdigest())
"""


class Reader(Student):
    """Goes as far as one answer of a kernel: the SHA-256 of a file."""

    def __init__(self, place: Place, person: Person, path: str) -> None:
        super().__init__(place, person)
        self.path = path
        self.answer = ""

    async def _steps(self, done: asyncio.Event) -> None:
        del done  # The tab need not stay open.
        await self._arrive()
        async with self._step("lab"):
            await self._open_lab()
        async with self._step("kernel"), await self._kernel() as kernel:
            self.answer = (await kernel.compute(_HASH.format(path=self.path))).strip()


def read(place: Place, person: Person, path: str) -> str:
    """Sign in, start a server and a kernel, and return the SHA-256 of the file that it reads.

    Raises CoursehubError with the step that failed.
    """
    reader = Reader(place, person, path)
    record = asyncio.run(reader.day(asyncio.Event()))
    if record.failed_at:
        raise CoursehubError(f"a student could not work ({record.failed_at}): {record.why}")
    return reader.answer
