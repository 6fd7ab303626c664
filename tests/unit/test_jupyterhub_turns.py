"""Who starts next when all start at once, and who waits when the class's memory is used up."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.support.loading import load
from tests.support.sandbox import REPO

pytestmark = pytest.mark.unit

turns = load(REPO / "formulas/jupyterhub/files/class_inside/turns.py")


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "AGAIN", 0.02)


class Class:
    """People who start servers, each of which takes as long as the test wants."""

    def __init__(self, at_once: int, room: Any = lambda _more: True, make_room: Any = None) -> None:
        self.queue = turns.Turns(at_once, room, make_room)
        self.started: list[str] = []
        self.ready: dict[str, asyncio.Event] = {}

    async def comes(self, name: str, patience: float = 30) -> asyncio.Task[None]:
        self.ready[name] = asyncio.Event()

        async def start() -> None:
            async with self.queue.turn(name, patience):
                self.started.append(name)
                await self.ready[name].wait()

        task = asyncio.create_task(start())
        await asyncio.sleep(0)
        return task

    async def ends(self, name: str) -> None:
        self.ready[name].set()
        for _ in range(5):
            await asyncio.sleep(0)


def test_starts_are_in_turn_and_everybody_knows_their_place() -> None:
    async def story() -> None:
        people = Class(2)
        tasks = [await people.comes(name) for name in "abcde"]
        assert people.started == ["a", "b"]
        assert [people.queue.progress(name) for name in "abce"] == [
            *("", ""),
            "Others start at the same time: you are next.",
            "Others start at the same time: 2 people are before you.",
        ]
        await people.ends("b")
        assert people.started == ["a", "b", "c"]
        assert people.queue.progress("e") == "Others start at the same time: 1 person is before you."
        for name in "acde":
            await people.ends(name)
        await asyncio.gather(*tasks)
        assert people.started == list("abcde")

    asyncio.run(story())


def test_a_start_that_hangs_gives_its_turn_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        monkeypatch.setattr(turns, "LONGEST", 1.0)
        people = Class(1)
        tasks = [await people.comes(name) for name in "ab"]
        assert people.started == ["a"]
        await asyncio.sleep(1.2)
        assert people.started == ["a", "b"]
        # Its end does not count again.
        await people.ends("a")
        tasks.append(await people.comes("c"))
        assert people.started == ["a", "b"]
        await people.ends("b")
        assert people.started == ["a", "b", "c"]
        await people.ends("c")
        await asyncio.gather(*tasks)

    asyncio.run(story())


def test_room_is_made_for_who_is_next_and_waits_for_memory() -> None:
    """One look at a time, and none while others start."""

    async def story() -> None:
        memory, looks = [False], []

        async def make_room() -> None:
            looks.append(len(people.started))
            await asyncio.sleep(0.1)
            if len(looks) == 3:
                memory[0] = True

        people = Class(2, lambda _more: memory[0], make_room)
        tasks = [await people.comes(name) for name in "ab"]
        await asyncio.sleep(0.25)
        assert 2 <= len(looks) <= 3, "one at a time, though each waiter looks every 0.02 s"
        await asyncio.sleep(0.3)
        assert people.started == ["a", "b"]
        memory[0] = False
        tasks.append(await people.comes("c"))
        before = len(looks)
        await asyncio.sleep(0.1)
        assert len(looks) == before, "others start, and their memory is counted twice"
        memory[0] = True
        for name in "abc":
            await people.ends(name)
            await asyncio.sleep(0.05)
        await asyncio.gather(*tasks)

    asyncio.run(story())


def test_who_gives_up_holds_nobody() -> None:
    """One whose start failed, one who left the queue, and one who left at the moment of their turn."""

    async def story() -> None:
        people = Class(1)
        first, second, third, fourth = [await people.comes(name) for name in "abcd"]
        second.cancel()
        await asyncio.sleep(0)
        first.cancel()
        third.cancel()
        await asyncio.wait([first, second, third])
        await asyncio.sleep(0.1)
        assert people.started == ["a", "d"]
        await people.ends("d")
        await fourth
        last = await people.comes("e")
        await people.ends("e")
        await last
        assert people.started[-1] == "e"

    asyncio.run(story())


def test_memory_that_is_used_up_makes_a_start_wait() -> None:
    async def story() -> None:
        free = {"servers": 1}
        people = Class(3, lambda more: more <= free["servers"])
        tasks = [await people.comes(name) for name in "ab"]
        assert people.started == ["a"]
        assert people.queue.progress("b") == (
            "All of the server's memory is in use. Your server starts when somebody leaves; you are next."
        )
        await people.ends("a")
        free["servers"] = 0
        late = await people.comes("c", patience=0.2)
        with pytest.raises(turns.NoRoom, match="whose work is not ended"):
            await late
        free["servers"] = 2
        await people.ends("b")
        await asyncio.gather(*tasks)

    asyncio.run(story())


@pytest.mark.parametrize("version", [1, 2])
def test_memory_is_read_of_either_version(tmp_path: Path, version: int) -> None:
    """Files that no program has mapped count as free; each server counts as its share, however little it uses yet."""
    mega = 1 << 20
    group = tmp_path / "class.slice" if version == 2 else tmp_path / "memory" / "class.slice"
    group.mkdir(parents=True)
    names = ("memory.max", "memory.current") if version == 2 else ("memory.limit_in_bytes", "memory.usage_in_bytes")
    inactive, active, mapped = (
        ("inactive_file", "active_file", "file_mapped")
        if version == 2
        else ("total_inactive_file", "total_active_file", "total_mapped_file")
    )
    (group / names[0]).write_text(f"{1000 * mega}\n")
    (group / names[1]).write_text(f"{900 * mega}\n")
    (group / "memory.stat").write_text(
        f"anon 5\n{inactive} {100 * mega}\n{active} {250 * mega}\n{mapped} {50 * mega}\n"
    )
    servers = tmp_path / "servers"
    servers.mkdir()
    memory = turns.ClassMemory(200 * mega, servers, "class.slice", tmp_path)
    assert [memory.room(more) for more in (1, 2, 3)] == [True, True, False]
    for name in "abcd":
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(str(servers / f"{name}.sock"))
        listening.close()
    assert [memory.room(more) for more in (1, 2)] == [True, False]
    (group / names[0]).write_text("max\n")
    assert memory.room(50)
