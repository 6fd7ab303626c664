"""Start ``reader`` as the owner of the files, pass on its answer, and end it."""

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
# Seconds for the whole request. The longest is a big folder over a slow connection.
PATIENCE = {"look": 20, "show": 30, "render": 90, "fetch": 3600, "pack": 3600}
# Seconds until a reader's first line, and between its later data: its student may stop it.
BEGINS, SILENCE = 90, 30
# Seconds to wait for a free place.
TURN = 15
CHUNK = 1 << 16
FIRST_LINE = 4 << 20


class Unavailable(Exception):
    """There is nothing to show; the teacher reads the message."""


class Readers:
    """Starts ``reader`` as the owner of a place, a few at a time: the class computes on the same machine."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._few = asyncio.Semaphore(6)
        # Each of these needs up to a gigabyte, or sends for minutes.
        self._one = {"render": asyncio.Semaphore(1), "fetch": asyncio.Semaphore(4), "pack": asyncio.Semaphore(2)}

    @contextlib.asynccontextmanager
    async def ask(self, place: Place, do: str, path: list[str]) -> AsyncIterator[tuple[dict[str, Any], Any]]:
        """Yield the answer's first line, and the process for the content. Raises Unavailable, TimeoutError."""
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
            # It starts as root and then becomes the owner itself: see reader.py.
            *(PYTHON, "-I", "-B", str(HERE / "reader.py"), str(place.uid), str(place.gid)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            limit=FIRST_LINE,
            umask=0o077,
            # No home: the student's settings must not be read, and this process's token must not be passed on.
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/nonexistent"},
            cwd="/",
            start_new_session=True,
        )


@contextlib.asynccontextmanager
async def in_turn(few: asyncio.Semaphore) -> AsyncIterator[None]:
    """Wait for a free place. Raises Unavailable if there is none soon: a download may take an hour."""
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
    """Return the content of the reader's first line. Raises Unavailable if there is nothing to show."""
    try:
        answer: dict[str, Any] = json.loads(line)
    except ValueError as problem:
        raise Unavailable("This cannot be shown; download it.") from problem
    if "refused" in answer:
        raise Unavailable(str(answer["refused"]))
    return answer


async def end(process: Any) -> None:
    """End a reader, even if its student stopped it: it is also a process of the student."""
    kill(process)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(SILENCE):
            # Python waits until all output was read, even if the process is gone.
            while await process.stdout.read(CHUNK):
                pass
            await process.wait()


def kill(process: Any) -> None:
    """Kill a reader and everything that it may have started, even if it has already ended."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
