"""Uses a hub as a student would: signs in, starts a server, computes in a kernel. Prints the seconds of each step.

Runs in the hub's environment, for Tornado's websocket. Standard input has the socket of the hub's proxy, the host name
of the hub, an account and its password, as JSON. Fails with one line.
"""

from __future__ import annotations

import asyncio
import http.client
import http.cookiejar
import json
import socket
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from typing import Any

#: Seconds for one page, for a server's start and for a kernel's answer.
PAGE, SERVER, KERNEL = 30, 120, 60
QUESTION, ANSWER = "print(5 * 4)", "20"


class Wrong(Exception):
    """What a student would see, in one line."""


class _Connection(http.client.HTTPConnection):
    """A connection to a Unix socket, whatever host is asked for."""

    path = ""

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class _Handler(urllib.request.HTTPSHandler):
    """Sends what is meant for HTTPS to the socket, as nginx does."""

    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_Connection, request)


class Browser:
    """One person's session."""

    def __init__(self, path: str, host: str, account: str) -> None:
        _Connection.path = path
        self.path, self.host, self.account = path, host, account
        self.cookies = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(_Handler, urllib.request.HTTPCookieProcessor(self.cookies))
        self._opener.addheaders = [("X-Forwarded-Proto", "https"), ("X-Forwarded-For", "127.0.0.1")]
        # The origin of the person's server, which may have a host name of its own.
        self.server = f"https://{host}"

    def open(
        self, url: str, data: bytes | None = None, *, method: str | None = None, seconds: float = PAGE, **headers: str
    ) -> tuple[str, bytes]:
        """Open a page and follow its redirects; returns the last address and the content."""
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            with self._opener.open(self._request(url, data, headers, method), timeout=seconds) as answer:
                return str(answer.geturl()), answer.read()
        except urllib.error.HTTPError as error:
            raise Wrong(f"{urllib.parse.urlsplit(error.url or url).path} answers with HTTP {error.code}") from error
        except OSError as error:
            raise Wrong(f"{urllib.parse.urlsplit(url).path} does not answer: {error}") from error

    def _request(
        self, url: str, data: bytes | None = None, headers: dict[str, str] | None = None, method: str | None = None
    ) -> urllib.request.Request:
        # Every address goes to the socket.
        return urllib.request.Request(url, data, headers or {}, method=method)  # noqa: S310

    def header(self, url: str) -> str:
        """The Cookie header for an address."""
        request = self._request(url)
        self.cookies.add_cookie_header(request)
        return str(request.get_header("Cookie", ""))

    def xsrf(self, url: str) -> str:
        """The token that JupyterHub wants with each change."""
        pairs = (part.strip().partition("=") for part in self.header(url).split(";"))
        return next((value.strip('"') for name, _, value in pairs if name == "_xsrf"), "")

    # -- the steps ---------------------------------------------------------------------------------------

    def sign_in(self, password: str) -> None:
        """Use the hub's own form."""
        hub = f"https://{self.host}/hub/"
        self.open(f"{hub}login")
        form = {"username": self.account, "password": password, "_xsrf": self.xsrf(hub)}
        # Not /hub/spawn: the next step times the start.
        self.open(f"{hub}login?next=%2Fhub%2Fhome", urllib.parse.urlencode(form).encode())
        if "jupyterhub-hub-login" not in self.header(hub):
            raise Wrong("the sign-in was refused")

    def start_server(self) -> None:
        """Start a server and wait until Lab's page opens."""
        hub = f"https://{self.host}/hub/"
        where, _ = self.open(f"{hub}spawn", seconds=SERVER)
        if f"/user/{self.account}/" not in where:
            self._wait(f"{hub}api/users/{self.account}/server/progress", hub)
        where, _ = self.open(f"https://{self.host}/user/{self.account}/lab", seconds=SERVER)
        parts = urllib.parse.urlsplit(where)
        self.server = f"https://{parts.netloc}"
        if not parts.path.startswith(f"/user/{self.account}/"):
            raise Wrong(f"the server's page leads to {parts.path}")

    def _wait(self, url: str, hub: str) -> None:
        _, events = self.open(url, seconds=SERVER, Referer=hub)
        for line in events.splitlines():
            if not line.startswith(b"data:"):
                continue
            event = json.loads(line.removeprefix(b"data:"))
            if event.get("failed"):
                raise Wrong(f"the server did not start: {event.get('message', 'no reason given')}")
            if event.get("ready"):
                return
        raise Wrong("the server did not become ready")

    def compute(self) -> None:
        """Start a kernel and let it compute, over the websocket."""
        base = f"{self.server}/user/{self.account}/"
        made = self._change("POST", f"{base}api/kernels", base, {"name": "python3"})
        try:
            said = asyncio.run(self._ask(f"{base}api/kernels/{made['id']}/channels"))
        finally:
            self._change("DELETE", f"{base}api/kernels/{made['id']}", base)
        if said.strip() != ANSWER:
            raise Wrong(f"a kernel answered {said.strip()[-80:]!r} to {QUESTION}")

    def _change(self, method: str, url: str, base: str, document: Any = None) -> Any:
        body = json.dumps(document).encode()
        _, said = self.open(
            *(url, body),
            method=method,
            seconds=KERNEL,
            X_XSRFToken=self.xsrf(base),
            Referer=base,
            Content_Type="application/json",
        )
        return json.loads(said or b"null")

    async def _ask(self, url: str) -> str:
        from tornado.httpclient import HTTPRequest
        from tornado.netutil import Resolver
        from tornado.websocket import websocket_connect

        path = self.path

        class ToSocket(Resolver):
            async def resolve(self, *_: Any, **__: Any) -> Any:
                return [(socket.AF_UNIX, path)]

        headers = {"Cookie": self.header(url), "Origin": self.server, "X-Forwarded-Proto": "https"}
        request = HTTPRequest(url.replace("https:", "ws:", 1), headers=headers, connect_timeout=PAGE)
        connection = await websocket_connect(request, resolver=ToSocket())
        message = uuid.uuid4().hex
        header = {
            "msg_id": message,
            "msg_type": "execute_request",
            "username": "",
            "session": message,
            "version": "5.3",
        }
        content = {"code": QUESTION, "silent": False, "store_history": False, "allow_stdin": False}
        asked = {"header": {**header, "date": ""}, "parent_header": {}, "metadata": {}, "buffers": []}
        await connection.write_message(json.dumps({**asked, "channel": "shell", "content": content}))
        async with asyncio.timeout(KERNEL):
            return await self._printed(connection, message)

    async def _printed(self, connection: Any, message: str) -> str:
        printed = ""
        while (received := await connection.read_message()) is not None:
            answer = json.loads(received)
            if answer["parent_header"].get("msg_id") != message:
                continue
            kind, content = answer["msg_type"], answer["content"]
            if kind == "stream":
                printed += content["text"]
            elif kind == "error":
                raise Wrong(f"a kernel said {content['ename']}: {content['evalue']}")
            elif kind == "status" and content["execution_state"] == "idle":
                return printed
        raise Wrong("the kernel's websocket closed")


def main() -> int:
    """Do all steps. Returns 1 after one line on standard error if one fails."""
    asked = json.load(sys.stdin)
    browser = Browser(asked["socket"], asked["host"], asked["account"])
    seconds = {}
    steps = {
        "sign-in": lambda: browser.sign_in(asked["password"]),
        "server": browser.start_server,
        "kernel": browser.compute,
    }
    for name, step in steps.items():
        began = time.monotonic()
        try:
            step()
        except (Wrong, OSError, ValueError, KeyError, TimeoutError) as problem:
            said = str(problem) or type(problem).__name__
            print(f"{name}: {' '.join(said.split())}", file=sys.stderr)
            return 1
        seconds[name] = round(time.monotonic() - began, 1)
    print(json.dumps(seconds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
