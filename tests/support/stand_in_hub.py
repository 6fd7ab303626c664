"""A hub without JupyterHub: its documented pages, REST calls, progress stream and kernel websocket, over real TLS.

It is as strict as the real one about requests (session cookie, XSRF token, Referer, Origin), runs a kernel's code, and
can be made to fail in each way that was seen in a class.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import logging
import secrets
import ssl
import threading
import traceback
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, HTTPError, RequestHandler
from tornado.websocket import WebSocketHandler

USER, PASSWORD = "coursehub-check", "swan-lake-1877"


@dataclass
class Behaviour:
    """How the hub behaves; by default everything works. Statuses are HTTP's."""

    login_page: str = '<form action="/hub/login"><input id="username_input" name="username"></form>'
    login_page_status: int = 200
    #: Where /hub/oauth_login redirects; None: the provider does not answer.
    provider: str | None = None
    spawn_status: int = 302
    progress_status: int = 200
    progress: tuple[dict[str, Any], ...] = (
        {"progress": 0, "message": "Server requested"},
        {"progress": 50, "message": "Spawning server..."},
        {"progress": 100, "ready": True, "message": "Server ready"},
    )
    #: Whether the progress stream stays open without a word after these events.
    progress_stays: bool = False
    lab_status: int = 200
    kernels_status: int = 201
    channels_status: int = 101
    #: None: run the code. Otherwise "dies", "hangs up", "chatters", "silent", "babbles" or "miscounts".
    kernel: str | None = None
    redirect_to: str | None = "https://{host}/"


@dataclass
class Hub:
    """The hub's data, and the requests that it got."""

    behaviour: Behaviour = field(default_factory=Behaviour)
    sessions: set[str] = field(default_factory=set)
    kernels: set[str] = field(default_factory=set)
    running: bool = False
    stopped: int = 0
    password: str = PASSWORD
    #: 0: use free ports.
    https_port: int = 0
    http_port: int = 0


class _Page(RequestHandler):
    @property
    def hub(self) -> Hub:
        return self.application.settings["hub"]

    def need_session(self) -> None:
        if self.get_cookie("session") not in self.hub.sessions:
            raise HTTPError(403)

    def give_xsrf(self, path: str) -> None:
        """JupyterHub's token is for one path: the hub's is not valid at a server."""
        if not self.get_cookie("_xsrf"):
            self.set_cookie("_xsrf", secrets.token_hex(8), path=path)

    def need_xsrf(self) -> None:
        token = self.request.headers.get("X-XSRFToken") or self.get_argument("_xsrf", "")
        if not token or token != self.get_cookie("_xsrf"):
            raise HTTPError(403)

    def need_referer(self) -> None:
        if not self.request.headers.get("Referer", "").startswith(f"https://{self.request.host}"):
            raise HTTPError(403)


class _Login(_Page):
    def get(self) -> None:
        self.give_xsrf("/hub/")
        self.set_status(self.hub.behaviour.login_page_status)
        self.write(self.hub.behaviour.login_page)

    def post(self) -> None:
        self.need_xsrf()
        if (self.get_argument("username"), self.get_argument("password")) != (USER, self.hub.password):
            self.set_status(403)
            self.write(self.hub.behaviour.login_page)
            return
        session = secrets.token_hex(8)
        self.hub.sessions.add(session)
        self.set_cookie("session", session)
        self.redirect("/hub/home")


class _Text(_Page):
    def get(self, *_: str) -> None:
        self.need_session()
        self.give_xsrf("/hub/")
        self.write("<html>")


class _Spawn(_Page):
    def get(self) -> None:
        self.need_session()
        if self.hub.running:
            self.redirect(f"/user/{USER}/lab")
        elif self.hub.behaviour.spawn_status >= 400:
            raise HTTPError(self.hub.behaviour.spawn_status)
        else:
            self.redirect(f"/hub/spawn-pending/{USER}")


class _Progress(_Page):
    async def get(self) -> None:
        self.need_session()
        self.need_referer()
        self.set_status(self.hub.behaviour.progress_status)
        self.set_header("Content-Type", "text/event-stream")
        for event in self.hub.behaviour.progress:
            self.hub.running = self.hub.running or bool(event.get("ready"))
            self.write(f"data: {json.dumps(event)}\n\n")
            await self.flush()
        if self.hub.behaviour.progress_stays:
            await asyncio.sleep(30)
        # The hub does this to keep proxies from closing the stream.
        self.write(":\n\n")


class _Server(_Page):
    def delete(self) -> None:
        self.need_session()
        self.need_xsrf()
        self.need_referer()
        self.hub.running = False
        self.hub.stopped += 1
        self.set_status(204)


class _Lab(_Page):
    def get(self) -> None:
        self.need_session()
        if not self.hub.running:
            raise HTTPError(503)
        self.give_xsrf(f"/user/{USER}/")
        self.set_status(self.hub.behaviour.lab_status)
        self.write("<html>JupyterLab")


class _Kernels(_Page):
    def post(self) -> None:
        self.need_session()
        self.need_xsrf()
        if self.hub.behaviour.kernels_status >= 400:
            raise HTTPError(self.hub.behaviour.kernels_status)
        kernel = str(uuid.uuid4())
        self.hub.kernels.add(kernel)
        self.set_status(201)
        self.write({"id": kernel, "name": json.loads(self.request.body)["name"]})


class _Kernel(_Page):
    def delete(self, kernel: str) -> None:
        self.need_session()
        self.need_xsrf()
        self.hub.kernels.remove(kernel)
        self.set_status(204)


class _Channels(WebSocketHandler):
    @property
    def hub(self) -> Hub:
        return self.application.settings["hub"]

    async def get(self, *arguments: Any, **options: Any) -> None:
        if self.get_cookie("session") not in self.hub.sessions:
            raise HTTPError(403)
        if self.hub.behaviour.channels_status >= 400:
            raise HTTPError(self.hub.behaviour.channels_status)
        await super().get(*arguments, **options)

    def open(self, kernel: str) -> None:
        self.parent: dict[str, Any] = {}
        self.variables: dict[str, Any] = {}
        assert kernel in self.hub.kernels

    def say(self, kind: str, parent: dict[str, Any] | None = None, **content: Any) -> None:
        answer = {"msg_type": kind, "parent_header": self.parent if parent is None else parent, "content": content}
        self.write_message(json.dumps(answer))

    def chatter(self) -> None:
        if self.ws_connection is not None:
            self.say("status", {"msg_id": "another"}, execution_state="idle")
            asyncio.get_running_loop().call_later(0.02, self.chatter)

    def on_message(self, message: str | bytes) -> None:
        request = json.loads(message)
        self.parent = request["header"]
        if request["header"]["msg_type"] != "execute_request" or request["channel"] != "shell":
            return
        match self.hub.behaviour.kernel:
            case "dies":
                self.say("status", {}, execution_state="restarting")
            case "hangs up":
                self.close()
            case "miscounts":
                self.execute("print(21)")
            case "babbles":
                self.write_message("no JSON")
            case "chatters":
                self.chatter()
            case "silent":
                pass
            case None:
                # Messages of other tabs with the same kernel must not be taken for the answer.
                self.say("stream", {"msg_id": "another"}, text="not yours")
                self.execute(request["content"]["code"])

    def execute(self, code: str) -> None:
        self.say("status", execution_state="busy")
        printed = io.StringIO()
        try:
            with contextlib.redirect_stdout(printed):
                try:
                    value = eval(compile(code, "<cell>", "eval"), self.variables)
                except SyntaxError:
                    value = exec(code, self.variables)
        except Exception as error:
            self.say(
                "error", ename=type(error).__name__, evalue=str(error), traceback=traceback.format_exc().split("\n")
            )
        else:
            if printed.getvalue():
                self.say("stream", name="stdout", text=printed.getvalue())
            if value is not None:
                self.say("execute_result", data={"text/plain": repr(value)}, execution_count=1, metadata={})
        self.say("status", execution_state="idle")


class _Redirect(_Page):
    def get(self) -> None:
        target = self.hub.behaviour.redirect_to
        if target is None:
            self.write("<html>plain")
        else:
            self.redirect(target.format(host=self.request.host_name), permanent=True)


class _Provider(_Page):
    def get(self) -> None:
        if self.hub.behaviour.provider is None:
            raise HTTPError(503)
        self.redirect(self.hub.behaviour.provider)


def _applications(hub: Hub) -> tuple[Application, Application]:
    secure = Application(
        [
            (r"/hub/login", _Login),
            (r"/hub/oauth_login", _Provider),
            (r"/hub/home", _Text),
            (r"/hub/spawn-pending/(.*)", _Text),
            (r"/hub/spawn", _Spawn),
            (rf"/hub/api/users/{USER}/server/progress", _Progress),
            (rf"/hub/api/users/{USER}/server", _Server),
            (rf"/user/{USER}/lab", _Lab),
            (rf"/user/{USER}/api/kernels", _Kernels),
            (rf"/user/{USER}/api/kernels/([^/]+)", _Kernel),
            (rf"/user/{USER}/api/kernels/([^/]+)/channels", _Channels),
        ],
        hub=hub,
        log_function=lambda _: None,
    )
    return secure, Application([(r"/.*", _Redirect)], hub=hub, log_function=lambda _: None)


@contextlib.contextmanager
def serve(hub: Hub, address: str, context: ssl.SSLContext, enter: Callable[[], None] = lambda: None) -> Iterator[Hub]:
    """Serve at an address of this host, or of the network that ``enter`` moves a thread into, for the duration of the
    block.
    """
    # Refused handshakes and 403s are expected here.
    logging.getLogger("tornado").setLevel(logging.CRITICAL)
    ready = threading.Event()
    loop = asyncio.new_event_loop()

    async def start() -> list[HTTPServer]:
        servers = []
        for application, options in zip(_applications(hub), ({"ssl_options": context}, {}), strict=True):
            sockets = bind_sockets(hub.https_port if options else hub.http_port, address)
            server = HTTPServer(application, **options)
            server.add_sockets(sockets)
            servers.append(server)
            if options:
                hub.https_port = sockets[0].getsockname()[1]
            else:
                hub.http_port = sockets[0].getsockname()[1]
        return servers

    def run() -> None:
        enter()
        asyncio.set_event_loop(loop)
        servers = loop.run_until_complete(start())
        ready.set()
        loop.run_forever()
        for server in servers:
            server.stop()
            loop.run_until_complete(server.close_all_connections())
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield hub
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=10)
