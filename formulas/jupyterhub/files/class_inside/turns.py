"""Whose server starts next: a few at a time, in the order in which people came, each when there is memory for it.

When all of a class start at once, each waits for all others; in turn half of them work while the rest wait, and each
knows their place. Memory: when the class's share is used up, Linux ends whatever is biggest, somebody's work; so who
comes too late waits here until somebody leaves. Standard library only.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

# Seconds between looks at the memory while somebody waits for it.
AGAIN = 2.0
# Seconds after which a start that has not ended gives its turn to the next: one that hangs must not block the class.
LONGEST = 20.0
CGROUPS = Path("/sys/fs/cgroup")


class NoRoom(Exception):
    """There was no memory for one more server for as long as people wait; the message is for who waited."""


@dataclass(eq=False)
class Waiter:
    """Somebody who waits; ``admitted`` is set when it is their turn."""

    name: str
    admitted: asyncio.Event = field(default_factory=asyncio.Event)


class _Turn:
    """A start; its turn ends with it, or after LONGEST."""

    def __init__(self, ended: Callable[[], None]) -> None:
        self._ended = ended
        self._over = False
        self._timer = asyncio.get_running_loop().call_later(LONGEST, self.end)

    def end(self) -> None:
        """End the turn, if it has not ended yet."""
        self._timer.cancel()
        if not self._over:
            self._over = True
            self._ended()


class Turns:
    """The queue. ``at_once`` servers start at a time; ``room`` says whether there is memory for so many more.

    ``make_room`` is called while somebody waits for memory; it may stop what nobody uses.
    """

    def __init__(
        self, at_once: int, room: Callable[[int], bool], make_room: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        self.at_once = at_once
        self.room = room
        self._make_room = make_room
        self._making: asyncio.Future[None] | None = None
        self._line: list[Waiter] = []
        self._starting = 0
        self._short = False

    @contextlib.asynccontextmanager
    async def turn(self, name: str, patience: float) -> AsyncIterator[None]:
        """Wait for one's turn; the block is the start itself. Raises NoRoom after ``patience`` seconds."""
        mine = Waiter(name)
        self._line.append(mine)
        try:
            async with asyncio.timeout(patience):
                self._admit()
                while not mine.admitted.is_set():
                    # Memory that comes free tells nobody.
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(AGAIN):
                            await mine.admitted.wait()
                    self._admit()
                    if self._line[:1] == [mine]:
                        self._look_for_room()
        except TimeoutError:
            self._leave(mine)
            raise NoRoom(
                "All of the server's memory is used by others, whose work is not ended for a new start"
                if self._short
                else "Too many others started at the same time"
            ) from None
        except BaseException:
            self._leave(mine)
            raise
        turn = _Turn(self._end)
        try:
            yield
        finally:
            turn.end()

    def progress(self, name: str) -> str:
        """Return what somebody who waits reads about their place; empty when it is their turn."""
        for place, waiter in enumerate(self._line, 1):
            if waiter.name == name:
                before = place - 1
                ahead = (
                    "you are next"
                    if not before
                    else f"{before} {'person is' if before == 1 else 'people are'} before you"
                )
                if self._short:
                    return f"All of the server's memory is in use. Your server starts when somebody leaves; {ahead}."
                return f"Others start at the same time: {ahead}."
        return ""

    def _admit(self) -> None:
        """Let in who is first, as many as may start now."""
        while self._line and self._starting < self.at_once:
            self._short = not self.room(self._starting + 1)
            if self._short:
                return
            self._starting += 1
            self._line.pop(0).admitted.set()

    def _look_for_room(self) -> None:
        """Let something unused be stopped. Not while others start: their memory is counted twice then."""
        if self._short and not self._starting and self._make_room and (self._making is None or self._making.done()):
            self._making = asyncio.ensure_future(self._make_room())

    def _end(self) -> None:
        """One start less is going on."""
        self._starting -= 1
        self._admit()

    def _leave(self, mine: Waiter) -> None:
        """Nobody waits for this start any more."""
        if mine in self._line:
            self._line.remove(mine)
        elif mine.admitted.is_set():
            self._starting -= 1
        self._admit()


@dataclass(frozen=True)
class ClassMemory:
    """The memory of all servers together: bytes that one more needs, and the directory with each server's socket."""

    each: int
    servers: Path
    slice: str
    root: Path = CGROUPS

    def room(self, more: int) -> bool:
        """Whether ``more`` servers fit that do not run yet. Also true where nobody can say: then nobody waits for ever.

        A server that has just started needs more when its kernels come, so each counts as ``each``, and no less.
        """
        limit, used = self._limit(), self._used()
        if limit is None or used is None or not self.each:
            return True
        running = sum(1 for path in self.servers.glob("*.sock") if path.is_socket())
        return max(used + more * self.each, (running + more) * self.each) <= limit

    def _limit(self) -> int | None:
        return self._number("memory.max", "memory.limit_in_bytes")

    def _used(self) -> int | None:
        """What cannot be given back: files that were read are in memory only as long as nobody else needs it.

        Only files that running programs have mapped count. Linux keeps others even after their reader has ended, so a
        student who reads big files twice would use up the memory of all.
        """
        current = self._number("memory.current", "memory.usage_in_bytes")
        if current is None:
            return None
        for place, prefix, mapped in ((self.root, "", "file_mapped"), (self.root / "memory", "total_", "mapped_file")):
            with contextlib.suppress(OSError, ValueError):
                lines = (place / self.slice / "memory.stat").read_text().splitlines()
                found = {key: int(value) for key, _, value in (line.partition(" ") for line in lines)}
                inactive, active, used = (
                    found.get(prefix + name, 0) for name in ("inactive_file", "active_file", mapped)
                )
                return max(current - max(inactive, inactive + active - used), 0)
        return current

    def _number(self, name: str, former: str) -> int | None:
        """A number of the class's control group: version 2, or 1. None where there is none, as without a limit."""
        for path in (self.root / self.slice / name, self.root / "memory" / self.slice / former):
            with contextlib.suppress(OSError, ValueError):
                return int(path.read_text())
        return None
