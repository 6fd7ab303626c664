"""One student of a rehearsal: from the sign-in page to a saved notebook, and then with an open tab."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from runner.course.hostnames import server_label
from runner.rehearsal import lab
from runner.rehearsal.accounts import Person

#: What a student does, in this order.
STEPS = ("sign in", "server", "lab", "kernel", "imports", "plot", "save")
#: The steps until the first cell can run.
READY = STEPS[:4]
#: Time limits in seconds: for one step, and for one request.
PATIENCE, ANSWER = 180, 60
NOTEBOOK = "rehearsal.ipynb"

_IMPORTS = """
for name in ("numpy", "pandas", "matplotlib.pyplot"):
    try:
        __import__(name)
    except ModuleNotFoundError:
        pass
print(6 * 7)
"""
_PLOT = """
try:
    import matplotlib.pyplot as plt, numpy as np
    x = np.linspace(0, 20, 2000)
    plt.plot(x, np.sin(x) * np.exp(-x / 10)); plt.title("A damped wave"); plt.show()
except ModuleNotFoundError:
    sum(number * number for number in range(300_000))
print(6 * 7)
"""


class Trouble(Exception):
    """A failure that a student would see. The text is a few words."""


@dataclass(frozen=True)
class Place:
    """A hub: its domain, its address, the TLS settings, and whether each server has its own host name."""

    domain: str
    ip: str
    trust: ssl.SSLContext
    subdomains: bool

    @property
    def hub(self) -> str:
        """The hub's own origin."""
        return f"https://{self.domain}"

    def server_of(self, account: str) -> str:
        """The origin of a person's server."""
        return f"https://{server_label(account)}.{self.domain}" if self.subdomains else self.hub


@dataclass
class Record:
    """What one student saw: the seconds of each finished step, and what failed, if anything."""

    account: str
    seconds: dict[str, float] = field(default_factory=dict)
    failed_at: str = ""
    why: str = ""
    requests: int = 0
    received: int = 0

    @property
    def first_answer(self) -> float | None:
        """Seconds from the sign-in page to a kernel that answers."""
        return sum(self.seconds[step] for step in READY) if all(step in self.seconds for step in READY) else None


class Names(AbstractResolver):
    """Resolves every name to the hub's address, because the temporary people's names are not in DNS.

    ``others`` has the addresses of names that are not the hub's, such as a sign-in provider's.
    """

    def __init__(self, ip: str, others: Mapping[str, str] | None = None) -> None:
        self.ip, self.others = ip, others or {}

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        """Return the address of a name."""
        ip = self.others.get(host, self.ip)
        return [{"hostname": host, "host": ip, "port": port, "family": family or 2, "proto": 0, "flags": 0}]

    async def close(self) -> None:
        """Do nothing, because nothing is open."""


class Student:
    """Does what a browser would do, with its own connections."""

    def __init__(self, place: Place, person: Person) -> None:
        self.place, self.person = place, person
        self.record = Record(person.account)
        # The last message of the hub's waiting page.
        self.waiting_message = ""
        self.base = f"{place.server_of(person.account)}/user/{person.account}/"

    async def day(self, done: asyncio.Event) -> Record:
        """Do all steps, then keep the tab open until ``done``. A failure is in the returned record."""
        async with self._browser():
            await self._steps(done)
        return self.record

    async def come_early(self) -> Record:
        """Sign in, wait for the server, and leave. A failure is in the returned record."""
        async with self._browser():
            await self._arrive()
        return self.record

    @contextlib.asynccontextmanager
    async def _browser(self) -> AsyncIterator[None]:
        jar = aiohttp.CookieJar(quote_cookie=False)
        patience = aiohttp.ClientTimeout(total=ANSWER)
        async with aiohttp.ClientSession(connector=self._line(), cookie_jar=jar, timeout=patience) as self.http:
            with contextlib.suppress(Trouble):
                yield

    def _line(self) -> aiohttp.TCPConnector:
        """How the browser connects."""
        return aiohttp.TCPConnector(limit_per_host=6, resolver=Names(self.place.ip), ssl=self.place.trust)

    async def _arrive(self) -> None:
        async with self._step("sign in"):
            await self._sign_in()
        async with self._step("server"):
            await self._get_server()

    async def _steps(self, done: asyncio.Event) -> None:
        await self._arrive()
        async with self._step("lab"):
            await self._open_lab()
        async with contextlib.AsyncExitStack() as tab:
            async with self._step("kernel"):
                kernel = await tab.enter_async_context(await self._kernel())
            news = await tab.enter_async_context(await self._socket("api/events/subscribe"))
            async with self._step("imports"):
                await kernel.run(_IMPORTS)
            async with self._step("plot"):
                await kernel.run(_PLOT)
            async with self._step("save"):
                await self._save(["".join(_IMPORTS), "".join(_PLOT)])
            await self._stay(done, kernel.socket, news)

    @contextlib.asynccontextmanager
    async def _step(self, name: str) -> AsyncIterator[None]:
        began = time.monotonic()
        try:
            async with asyncio.timeout(PATIENCE):
                yield
        except (Trouble, aiohttp.ClientError, OSError, ValueError, KeyError) as problem:
            self.record.failed_at = name
            self.record.why = _words(problem)
            if isinstance(problem, TimeoutError) and name == "server" and self.waiting_message:
                self.record.why += f"; the page says: {self.waiting_message}"
            raise Trouble(self.record.why) from problem
        self.record.seconds[name] = time.monotonic() - began

    # -- the hub -----------------------------------------------------------------------------------------

    async def _sign_in(self) -> None:
        hub = f"{self.place.hub}/hub/"
        await self._get(f"{hub}login")
        form = {
            "username": self.person.account,
            "password": self.person.password,
            "_xsrf": self._xsrf(hub),
        }
        async with self.http.post(f"{hub}login", data=form, allow_redirects=False) as answer:
            if answer.status != 302:
                raise Trouble(f"the sign-in was refused (HTTP {answer.status})")

    async def _get_server(self) -> None:
        """Request a server, and wait for the hub's progress events as the page does."""
        hub = f"{self.place.hub}/hub/"
        status, where, _ = await self._get(f"{hub}spawn")
        if status >= 400:
            raise Trouble(f"the hub would not start a server (HTTP {status})")
        if where.startswith(self.base):
            return
        news = f"{hub}api/users/{self.person.account}/server/progress"
        endless = aiohttp.ClientTimeout(total=PATIENCE)
        async with self.http.get(news, headers={"Referer": hub}, timeout=endless) as answer:
            if answer.status != 200:
                raise Trouble(f"the hub gives no news of the server (HTTP {answer.status})")
            async for line in answer.content:
                if not line.startswith(b"data:"):
                    continue
                event = json.loads(line.removeprefix(b"data:"))
                if event.get("failed"):
                    raise Trouble(f"the server did not start: {event.get('message', 'no reason given')}")
                if event.get("ready"):
                    return
                self.waiting_message = event.get("message", "")
        raise Trouble("the server did not become ready")

    # -- the server --------------------------------------------------------------------------------------

    async def _open_lab(self) -> None:
        status, where, page = await self._get(f"{self.base}lab")
        if status != 200 or not where.startswith(self.base):
            raise Trouble(f"Lab's page shows HTTP {status}")
        origin = self.place.server_of(self.person.account)
        first = lab.first_programs(page.decode())
        main = next((path for path in first if "/static/lab/main." in path), "")
        loaded = await asyncio.gather(*(self._piece(origin + path) for path in first))
        more = lab.pieces(loaded[first.index(main)].decode(), main) if main else []
        await asyncio.gather(*(self._piece(origin + path) for path in more))
        await asyncio.gather(*(self._get(self.base + question) for question in lab.QUESTIONS))

    async def _piece(self, url: str) -> bytes:
        status, _, body = await self._get(url)
        if status != 200:
            raise Trouble(f"a part of Lab is missing (HTTP {status})")
        return body

    async def _kernel(self) -> Kernel:
        """Open a new notebook: start a session with its kernel, and wait for the kernel's first answer."""
        await self._change("PUT", f"api/contents/{NOTEBOOK}", {"type": "notebook", "content": _notebook([])})
        wanted = {"path": NOTEBOOK, "name": NOTEBOOK, "type": "notebook", "kernel": {"name": "python3"}}
        made = await self._change("POST", "api/sessions", wanted)
        socket = await self._socket(f"api/kernels/{made['kernel']['id']}/channels")
        kernel = Kernel(socket)
        await kernel.ask("kernel_info_request", {})
        return kernel

    async def _save(self, cells: list[str]) -> None:
        await self._change("PUT", f"api/contents/{NOTEBOOK}", {"type": "notebook", "content": _notebook(cells)})

    async def _stay(self, done: asyncio.Event, *sockets: aiohttp.ClientWebSocketResponse) -> None:
        """Keep the page open: read the websockets, and repeat the requests that Lab repeats."""
        busy = [asyncio.create_task(_read(one)) for one in sockets]
        busy += [asyncio.create_task(self._ask_again(question, pause)) for question, pause in lab.AGAIN.items()]
        try:
            await done.wait()
        finally:
            for one in busy:
                one.cancel()
            await asyncio.gather(*busy, return_exceptions=True)

    async def _ask_again(self, question: str, pause: float) -> None:
        while True:
            await asyncio.sleep(pause)
            with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
                await self._get(self.base + question)

    # -- requests ----------------------------------------------------------------------------------------

    async def _get(self, url: str) -> tuple[int, str, bytes]:
        """The status, the address after redirects, and the body."""
        async with self.http.get(url, max_redirects=20) as answer:
            body = await answer.read()
            self.record.requests += 1 + len(answer.history)
            self.record.received += len(body)
            return answer.status, str(answer.url), body

    async def _change(self, method: str, path: str, document: Any) -> Any:
        url = self.base + path
        headers = {"X-XSRFToken": self._xsrf(url), "Referer": self.base}
        async with self.http.request(method, url, json=document, headers=headers) as answer:
            self.record.requests += 1
            if answer.status >= 400:
                raise Trouble(f"the server would not do {method} {urlsplit(path).path} (HTTP {answer.status})")
            return await answer.json()

    async def _socket(self, path: str) -> aiohttp.ClientWebSocketResponse:
        origin = self.place.server_of(self.person.account)
        return await self.http.ws_connect(
            f"{self.base.replace('https:', 'wss:', 1)}{path}", headers={"Origin": origin}, max_msg_size=0
        )

    def _xsrf(self, url: str) -> str:
        found = self.http.cookie_jar.filter_cookies(URL(url)).get("_xsrf")
        return found.value if found else ""


class Kernel:
    """A kernel, over its websocket."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def __aenter__(self) -> Kernel:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.socket.close()

    async def run(self, code: str) -> None:
        """Run code that must print 42. Raises Trouble if it does not."""
        printed = await self.compute(code)
        if "42" not in printed:
            raise Trouble(f"the kernel answered {printed[-80:]!r}")

    async def compute(self, code: str) -> str:
        """Run code and return what it printed. Raises Trouble for an error in it."""
        content = {
            "code": code,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": True,
        }
        return await self.ask("execute_request", content)

    async def ask(self, kind: str, content: dict[str, Any]) -> str:
        """Send a message, wait until the kernel has processed it, and return what it printed."""
        message = uuid.uuid4().hex
        header = {
            "msg_id": message,
            "msg_type": kind,
            "username": "",
            "session": uuid.uuid4().hex,
            "version": "5.3",
            "date": "",
        }
        await self.socket.send_json(
            {
                "header": header,
                "parent_header": {},
                "metadata": {},
                "channel": "shell",
                "buffers": [],
                "content": content,
            }
        )
        printed, replied, idle = "", False, False
        while not (replied and idle):
            answer = await self._next()
            kind_of, body = answer.get("msg_type"), answer.get("content", {})
            if kind_of == "status" and body.get("execution_state") in ("restarting", "dead"):
                raise Trouble("the kernel died")
            if answer.get("parent_header", {}).get("msg_id") != message:
                continue
            if kind_of == "error":
                raise Trouble(f"{body.get('ename')}: {body.get('evalue')}")
            printed += body.get("text", "") if kind_of == "stream" else ""
            replied |= answer.get("channel") == "shell"
            idle |= kind_of == "status" and body.get("execution_state") == "idle"
        return printed

    async def _next(self) -> dict[str, Any]:
        said = await self.socket.receive()
        if said.type is not aiohttp.WSMsgType.TEXT:
            raise Trouble("the connection to the kernel broke")
        answer: dict[str, Any] = json.loads(said.data)
        return answer


async def _read(socket: aiohttp.ClientWebSocketResponse) -> None:
    async for _ in socket:
        pass


def _notebook(cells: list[str]) -> dict[str, Any]:
    return {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3"}},
        "cells": [
            {
                "cell_type": "code",
                "id": f"cell{place}",
                "metadata": {},
                "outputs": [],
                "execution_count": None,
                "source": source,
            }
            for place, source in enumerate(cells)
        ],
    }


def _words(problem: BaseException) -> str:
    if isinstance(problem, TimeoutError):
        return f"no end within {PATIENCE} s"
    return " ".join(str(problem).split())[:200] or type(problem).__name__
