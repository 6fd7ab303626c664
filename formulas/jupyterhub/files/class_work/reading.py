"""Starts ``reader`` as the owner of what is read, passes on what it answers, and ends it."""

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from class_work.places import Place, Settings

HERE = Path(__file__).parent
PYTHON = "/usr/bin/python3"
# Seconds of real time. The longest is a big folder over a slow line.
PATIENCE = {"look": 20, "show": 30, "render": 90, "fetch": 3600, "pack": 3600}
# Seconds in which a reader begins, and in which it then says something more: its student may stop it.
BEGINS, SILENCE = 90, 30
# Seconds in which one of the others that are served may end.
TURN = 15
CHUNK = 1 << 16
FIRST_LINE = 4 << 20


class Unavailable(Exception):
    """There is nothing to show; the teacher reads why."""


class Readers:
    """Starts ``reader`` as the owner of a place, a few at a time: the class computes on the same machine."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._few = asyncio.Semaphore(6)
        # Each needs up to a gigabyte, or sends for minutes.
        self._one = {"render": asyncio.Semaphore(1), "fetch": asyncio.Semaphore(4), "pack": asyncio.Semaphore(2)}

    @contextlib.asynccontextmanager
    async def ask(self, place: Place, do: str, path: list[str]) -> AsyncIterator[tuple[dict[str, Any], Any]]:
        """Give the answer's first line, and the process that says what follows. Raises Unavailable, TimeoutError."""
        asked = {"do": do, "root": place.root, "path": path, "most": self.settings.download}
        asked["course"] = str(Path(self.settings.python).parents[1])
        async with in_turn(self._one.get(do, self._few)), asyncio.timeout(PATIENCE[do]):
            try:
                process = await self._start(place)
            except OSError as problem:
                raise Unavailable("The server cannot show this now; try again in a minute.") from problem
            try:
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    process.stdin.write(json.dumps(asked).encode())
                    process.stdin.write_eof()
                yield first_line(await asyncio.wait_for(process.stdout.readline(), BEGINS)), process
            finally:
                await end(process)

    async def _start(self, place: Place) -> Any:
        return await asyncio.create_subprocess_exec(
            # Root's, until it becomes the owner itself: see there.
            *(PYTHON, "-I", "-B", str(HERE / "reader.py"), str(place.uid), str(place.gid)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            limit=FIRST_LINE,
            umask=0o077,
            # No home: the student's own settings must not be read, and this process' token not be passed on.
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/nonexistent"},
            cwd="/",
            start_new_session=True,
        )


@contextlib.asynccontextmanager
async def in_turn(few: asyncio.Semaphore) -> AsyncIterator[None]:
    """Be one of a few. Raises Unavailable when none of them ends soon: some may take an hour."""
    try:
        async with asyncio.timeout(TURN):
            await few.acquire()
    except TimeoutError:
        raise Unavailable("Others are looking or downloading; try again in a minute.") from None
    try:
        yield
    finally:
        few.release()


def first_line(line: bytes) -> dict[str, Any]:
    """Return what the reader's first line says. Raises Unavailable when there is nothing to see."""
    try:
        answer: dict[str, Any] = json.loads(line)
    except ValueError as problem:
        raise Unavailable("This cannot be shown; download it.") from problem
    if "refused" in answer:
        raise Unavailable(str(answer["refused"]))
    return answer


async def end(process: Any) -> None:
    """End a reader, whatever its student did to it: it is a process of the student's too."""
    kill(process)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(SILENCE):
            # Python waits until all is taken that was sent, also of a process that is gone.
            while await process.stdout.read(CHUNK):
                pass
            await process.wait()


def kill(process: Any) -> None:
    """End a reader, and what it may have been made to start, also when it has ended itself."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
