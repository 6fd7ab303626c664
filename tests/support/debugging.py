"""JupyterLab's debugger protocol over the kernel's websocket."""

from __future__ import annotations

import contextlib
import itertools
import json
import time
import uuid
from collections.abc import Iterator
from typing import Any

import websocket

from runner.hub.client import HubClient, Kernel


class Debugger:
    """One debug session with a kernel. Raises AssertionError, with what arrived instead, if an answer is missing."""

    def __init__(self, client: HubClient, kernel: Kernel) -> None:
        self._line = client.websocket(f"/user/{client.username}/api/kernels/{kernel.id}/channels")
        self._session, self._count = uuid.uuid4().hex, itertools.count(1)
        self._seen: list[dict[str, Any]] = []

    def close(self) -> None:
        self._line.close()

    def ask(self, command: str, seconds: float = 60, **arguments: Any) -> dict[str, Any]:
        """Send a request of the debug adapter protocol and return its answer's body."""
        content = {"type": "request", "seq": next(self._count), "command": command, "arguments": arguments}
        message = self.send("debug_request", "control", content)
        answer = self.wait("debug_reply", seconds, lambda one: one["parent_header"].get("msg_id") == message)
        assert answer["content"].get("success", True), (command, answer["content"])
        return dict(answer["content"].get("body") or {})

    def send(self, kind: str, channel: str, content: dict[str, Any]) -> str:
        """Send a message to the kernel; return its id."""
        message = uuid.uuid4().hex
        header = {"msg_id": message, "msg_type": kind, "username": "x", "session": self._session, "version": "5.3"}
        whole = {"header": {**header, "date": ""}, "parent_header": {}, "metadata": {}, "channel": channel}
        self._line.send(json.dumps({**whole, "buffers": [], "content": content}))
        return message

    def wait(self, kind: str, seconds: float, fits: Any = lambda _: True) -> dict[str, Any]:
        """The first unread message with this type that matches."""
        deadline, seen = time.monotonic() + seconds, []
        while (left := deadline - time.monotonic()) > 0:
            for index, known in enumerate(self._seen):
                if known["msg_type"] == kind and fits(known):
                    return self._seen.pop(index)
            self._line.settimeout(left)
            with contextlib.suppress(websocket.WebSocketTimeoutException):
                self._seen.append(json.loads(self._line.recv()))
                seen.append(self._seen[-1]["msg_type"])
        raise AssertionError(f"no {kind} within {seconds} s, but {seen}")

    def event(self, name: str, seconds: float = 60) -> dict[str, Any]:
        """The next event of that name, such as "stopped"."""
        return self.wait("debug_event", seconds, lambda one: one["content"].get("event") == name)["content"]


@contextlib.contextmanager
def debugging(client: HubClient, kernel: Kernel) -> Iterator[Debugger]:
    """A session that is attached to the kernel; it is closed at the end and the kernel keeps running."""
    session = Debugger(client, kernel)
    try:
        session.ask("initialize", clientID="test", adapterID="", pathFormat="path", linesStartAt1=True,
                    columnsStartAt1=True, supportsVariableType=True)  # fmt: skip
        session.ask("attach")
        yield session
        session.ask("disconnect", restart=False, terminateDebuggee=False)
    finally:
        session.close()


def stopped_at_breakpoint(session: Debugger) -> dict[str, str]:
    """Run a cell with a breakpoint on its third line; return the variables that the debugger shows there."""
    code = "answer = 6\nanswer = answer * 7\nprint(answer)\n"
    source = session.ask("dumpCell", code=code)["sourcePath"]
    session.ask("setBreakpoints", source={"path": source}, breakpoints=[{"line": 3}], sourceModified=False)
    session.ask("configurationDone")
    content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}
    session.send("execute_request", "shell", content)
    thread = session.event("stopped")["body"]["threadId"]
    frame = session.ask("stackTrace", threadId=thread)["stackFrames"][0]
    scopes = session.ask("scopes", frameId=frame["id"])["scopes"]
    found = session.ask("variables", variablesReference=scopes[0]["variablesReference"])["variables"]
    session.ask("continue", threadId=thread)
    return {one["name"]: one["value"] for one in found}
