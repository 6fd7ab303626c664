"""A class with open tabs of Lab in a process of its own, to be run in a laptop's network and killed like one.

Reads one line of JSON: {domain, ip, bundle, subdomains, address, people: [[account, password]], tabs, patience}.
``address`` is the one of the laptop's that its connections come from, ``patience`` the seconds that a step may take.
When all tabs are open it prints {"open": sockets, "failed": {account: why}}. It answers the server's pings until the
next line or the end of its input, and then closes all politely.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from pathlib import Path
from typing import Any

import aiohttp

from runner.rehearsal import student as students_day
from runner.rehearsal.accounts import Person
from runner.rehearsal.crowd import trust
from runner.rehearsal.student import Kernel, Names, Place, Student


class Tabs(Student):
    """A student with several tabs of Lab: each has a socket for events, one of the kernel and one of the terminal."""

    def __init__(self, place: Place, person: Person, address: str, tabs: int) -> None:
        super().__init__(place, person)
        self.address, self.tabs, self.open = address, tabs, 0
        self.ready = asyncio.Event()

    def _line(self) -> aiohttp.TCPConnector:
        # Without a limit: a browser has no limit of six for websockets.
        return aiohttp.TCPConnector(
            limit=0, resolver=Names(self.place.ip), ssl=self.place.trust, local_addr=(self.address, 0)
        )

    async def day(self, done: asyncio.Event) -> Any:
        try:
            return await super().day(done)
        finally:
            self.ready.set()

    async def _steps(self, done: asyncio.Event) -> None:
        await self._arrive()
        async with self._step("tabs"):
            # Its cookie is needed for the changes.
            await self._get(f"{self.base}lab")
            wanted = {"path": "t.ipynb", "name": "t.ipynb", "type": "notebook", "kernel": {"name": "python3"}}
            # The same session each time.
            session = await self._change("POST", "api/sessions", wanted)
            kernel = f"api/kernels/{session['kernel']['id']}/channels"
            names = json.loads((await self._get(f"{self.base}api/terminals"))[2])
            terminal = (names or [await self._change("POST", "api/terminals", {})])[0]["name"]
            paths = ("api/events/subscribe", kernel, f"terminals/websocket/{terminal}")
            # One tab after the other, as a person opens them.
            sockets = [await self._socket(path) for _ in range(self.tabs) for path in paths]
            await Kernel(sockets[1]).ask("kernel_info_request", {})
            self.open = len(sockets)
        self.ready.set()
        await self._stay(done, *sockets)


async def main() -> None:
    """Open, wait, close."""
    loop = asyncio.get_running_loop()
    asked = json.loads(await loop.run_in_executor(None, sys.stdin.readline))
    students_day.PATIENCE = asked["patience"]
    place = Place(asked["domain"], asked["ip"], trust(Path(asked["bundle"])), asked["subdomains"])
    students = [Tabs(place, Person(*one), asked["address"], asked["tabs"]) for one in asked["people"]]
    done = asyncio.Event()
    days = [asyncio.create_task(student.day(done)) for student in students]
    for student in students:
        await student.ready.wait()
    failed = {one.record.account: f"{one.record.failed_at}: {one.record.why}" for one in students if not one.open}
    print(json.dumps({"open": sum(one.open for one in students), "failed": failed}), flush=True)
    await loop.run_in_executor(None, sys.stdin.readline)
    done.set()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.gather(*days)


if __name__ == "__main__":
    asyncio.run(main())
