"""A real Firefox without a screen, driven by Selenium.

Selenium normally talks to geckodriver, which Debian does not have. It translates WebDriver's HTTP to Marionette,
Firefox's own protocol with the same commands. Here Selenium's commands go to Marionette directly.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.remote.command import Command
from selenium.webdriver.remote.remote_connection import RemoteConnection
from selenium.webdriver.remote.webdriver import WebDriver as Driver

from tests.support.computer import enter_network

#: Marionette itself sets what every browser under test needs: no first page, no updates, script-opened windows.
_PREFERENCES = {
    # Any free port; the profile's file MarionetteActivePort names it.
    "marionette.port": 0,
    # No DNS over HTTPS, and no connection that a test did not request.
    "network.trr.mode": 5,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "network.http.http3.enable": False,
    "browser.safebrowsing.downloads.remote.enabled": False,
    "services.settings.server": "http://127.0.0.1:9/",
}
_START_SECONDS, _ANSWER_SECONDS = 180, 180

#: Marionette's name of each command that the tests use.
_NAMES = {
    Command.NEW_SESSION: "NewSession",
    Command.QUIT: "DeleteSession",
    Command.SET_TIMEOUTS: "SetTimeouts",
    Command.GET: "Navigate",
    Command.GET_CURRENT_URL: "GetCurrentURL",
    Command.GET_TITLE: "GetTitle",
    Command.GET_PAGE_SOURCE: "GetPageSource",
    Command.SCREENSHOT: "TakeScreenshot",
    Command.W3C_EXECUTE_SCRIPT: "ExecuteScript",
    Command.W3C_EXECUTE_SCRIPT_ASYNC: "ExecuteAsyncScript",
    Command.W3C_GET_CURRENT_WINDOW_HANDLE: "GetWindowHandle",
    Command.W3C_GET_WINDOW_HANDLES: "GetWindowHandles",
    Command.SWITCH_TO_WINDOW: "SwitchToWindow",
    Command.CLOSE: "CloseWindow",
    Command.FIND_ELEMENT: "FindElement",
    Command.FIND_ELEMENTS: "FindElements",
    Command.CLICK_ELEMENT: "ElementClick",
    Command.SEND_KEYS_TO_ELEMENT: "ElementSendKeys",
    Command.GET_ELEMENT_TEXT: "GetElementText",
    Command.IS_ELEMENT_ENABLED: "IsElementEnabled",
}


class _Marionette:
    """Selenium's connection to Firefox, in place of RemoteConnection for an HTTP driver."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._buffer = b""
        self._last = 0
        self._receive()

    def execute(self, command: str, params: dict[str, Any]) -> dict[str, Any]:
        """Run one of Selenium's commands; return Firefox's answer in the format of Selenium's error handler."""
        if command not in _NAMES:
            raise WebDriverException(f"tests/support/firefox.py has no {command}")
        self._last += 1
        asked = {name: value for name, value in params.items() if name != "sessionId"}
        if command == Command.NEW_SESSION:
            asked = {}
        elif command == Command.SCREENSHOT:
            asked = {"full": False}
        body = json.dumps([0, self._last, f"WebDriver:{_NAMES[command]}", asked]).encode()
        self._line.sendall(b"%d:%s" % (len(body), body))
        _, number, error, result = self._receive()
        assert number == self._last, f"an answer to {number} came for {self._last}"
        if error:
            return {"status": error["error"], "value": error}
        # A single value is wrapped; lists and the new session are not.
        return {"value": result["value"] if isinstance(result, dict) and set(result) == {"value"} else result}

    def close(self) -> None:
        self._line.close()

    def _receive(self) -> Any:
        """The next message: its length in digits, a colon, JSON."""
        while b":" not in self._buffer:
            self._buffer += self._more()
        digits, _, self._buffer = self._buffer.partition(b":")
        length = int(digits)
        while len(self._buffer) < length:
            self._buffer += self._more()
        message, self._buffer = self._buffer[:length], self._buffer[length:]
        return json.loads(message)

    def _more(self) -> bytes:
        data = self._line.recv(65536)
        if not data:
            raise ConnectionError("Firefox has closed its end")
        return data


@contextlib.contextmanager
def firefox(namespace: str, profile: Path) -> Iterator[Driver]:
    """A Firefox in this network namespace, with a ``profile`` directory that has its certificate store already.

    Raises AssertionError, with the end of its output, if it does not start.
    """
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in _PREFERENCES.items()]
    (profile / "user.js").write_text("".join(lines), encoding="utf-8")
    said = profile / "said.log"
    command = ["nsenter", f"--net=/run/netns/{namespace}", "firefox-esr", "--headless", "--marionette", "--no-remote"]
    with said.open("wb") as log:
        process = subprocess.Popen(
            [*command, "--profile", str(profile)],
            env={**os.environ, "HOME": str(profile.parent)},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        line = _connect(namespace, _port(process, profile / "MarionetteActivePort", said))
        with contextlib.closing(_Marionette(line)) as marionette:
            yield Driver(cast(RemoteConnection, marionette), options=webdriver.FirefoxOptions())
    finally:
        # Kill the processes of its pages too; nothing in the profile needs saving.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _port(process: subprocess.Popen[bytes], file: Path, said: Path) -> int:
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(FileNotFoundError, ValueError):
            return int(file.read_text(encoding="ascii"))
        time.sleep(0.1)
    state = "runs" if process.poll() is None else f"ended with {process.returncode}"
    text = said.read_text(encoding="utf-8", errors="replace")[-600:]
    raise AssertionError(f"Firefox has no port after {_START_SECONDS} s: it {state} and said {text!r}")


def _connect(namespace: str, port: int) -> socket.socket:
    """A connection from within the namespace, for a thread outside of it."""

    def connect() -> socket.socket:
        enter_network(namespace)
        return socket.create_connection(("127.0.0.1", port), _ANSWER_SECONDS)

    # The thread, which has entered the namespace, ends with the block.
    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(connect).result()
