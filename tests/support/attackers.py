"""People who attack a running hub: users with an account, through their browser's connection, and strangers.

Code runs in a kernel and commands in a terminal of the person's own server, so the restrictions of its unit apply.
Nothing is done as root for them.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import secrets
import socket
import ssl
import subprocess
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
import websocket

from runner import local
from runner.course.hostnames import server_label
from runner.hub.client import HubClient, HubFailure, Kernel
from runner.servers.access import Access
from tests.support.hub import Hub

#: Errors which show that the attack itself is broken, so that nothing was tried.
_BROKEN = re.compile(r"^(NameError|SyntaxError|IndentationError|ModuleNotFoundError|AttributeError|TypeError): ", re.M)
#: Code for a kernel that turns the error that stopped it into an answer: "PermissionError: [Errno 13] ...".
_ATTEMPT = """
try:
    exec(compile({code!r}, "attack", "exec"), {{"__name__": "__main__"}})
except BaseException as error:
    print(f"{{type(error).__name__}}: {{error}}")
"""


def findable(hub: Hub, whose: str, accounts: Iterable[str]) -> None:
    """Make this computer resolve servers of people who are in no course file; a real hub's DNS has a wildcard."""
    state = hub.sandbox.project.state
    if local.find(state):
        local.set_names(state, whose, [f"{server_label(account)}.{hub.document['hostname']}" for account in accounts])


@dataclass(frozen=True)
class Answer:
    """The output of a command in a terminal (both streams, as a person sees them), and its exit code."""

    code: int
    text: str


class Terminal:
    """A terminal of a person's server, as JupyterLab opens it."""

    def __init__(self, client: HubClient) -> None:
        self.client = client
        self.name = client.api("POST", "/api/terminals").json()["name"]
        self._line = client.websocket(f"/user/{client.username}/terminals/websocket/{self.name}")
        # Wide, so that no line of the output is wrapped.
        self._line.send(json.dumps(["set_size", 50, 4000]))

    def is_there(self) -> bool:
        """Whether the connection is open. It ends when the proxy restarts; the terminal keeps running."""
        try:
            self._line.ping()
            self._line.settimeout(2)
            while self._line.recv_data_frame(control_frame=True)[0] != websocket.ABNF.OPCODE_PONG:
                pass
        except (OSError, ValueError, websocket.WebSocketException):
            return False
        return True

    def run(self, script: str, seconds: float = 60) -> Answer:
        """Type one line that runs a bash script; wait for its end.

        Raises HubFailure if the terminal is gone, TimeoutError if the script does not end in time.
        """
        mark = secrets.token_hex(8)
        packed = base64.b64encode(script.encode()).decode()
        # The terminal echoes the line, so the marker is split in it.
        line = f"echo 'BEGIN-''{mark}'; bash -c \"$(echo {packed} | base64 -d)\"; echo 'END-''{mark}'=$?"
        ended = re.compile(rf"BEGIN-{mark}\r?\n(.*)END-{mark}=(\d+)", re.S)
        printed, deadline = "", time.monotonic() + seconds
        try:
            self._line.send(json.dumps(["stdin", f"{line}\r"]))
            while (left := deadline - time.monotonic()) > 0:
                self._line.settimeout(left)
                kind, *rest = json.loads(self._line.recv())
                if kind == "disconnect":
                    break
                printed += rest[0] if kind == "stdout" else ""
                if found := ended.search(printed):
                    return Answer(int(found[2]), found[1].replace("\r\n", "\n").strip())
        except websocket.WebSocketTimeoutException:
            pass
        except (OSError, ValueError, websocket.WebSocketException) as error:
            raise HubFailure(f"the terminal is gone ({type(error).__name__}); it said {printed[-500:]!r}") from error
        raise TimeoutError(f"not ended within {seconds:.0f} s; the terminal said {printed[-500:]!r}")

    def close(self) -> None:
        """Close the terminal and end what runs in it."""
        with contextlib.suppress(HubFailure, OSError, websocket.WebSocketException):
            self._line.close()
            self.client.api("DELETE", f"/api/terminals/{self.name}")


@dataclass
class Person:
    """A user with an account, in a browser: signed in, with their own server on request."""

    hub: Hub
    account: str
    password: str = field(repr=False)
    _client: HubClient | None = field(default=None, repr=False)
    _kernel: Kernel | None = field(default=None, repr=False)
    _terminal: Terminal | None = field(default=None, repr=False)

    @property
    def home(self) -> str:
        return f"/home/{self.account}"

    @property
    def unit(self) -> str:
        """The systemd unit of the person's server."""
        return f"jupyter-{self.account}.service"

    @property
    def client(self) -> HubClient:
        """The signed-in browser's connection. Signs in first if there is none that works."""
        if self._client is None or self._client.get("/hub/home", allow_redirects=False).status_code != 200:
            self.forget()
            self._client = self.new_client()
        return self._client

    def new_client(self) -> HubClient:
        """Another session, as from another browser. Raises HubFailure if the sign-in is refused."""
        bundle = self.hub.document["ca_bundle"]
        client = HubClient(self.hub.document["hostname"], self.account, Path(bundle) if bundle else None)
        client.sign_in(self.password)
        return client

    def forget(self) -> None:
        """Drop session, kernel and terminal, whatever their state."""
        if self._terminal:
            self._terminal.close()
        if self._client:
            self._client.http.close()
        self._client = self._kernel = self._terminal = None

    def serve(self) -> HubClient:
        """The connection once the person's server runs."""
        client = self.client
        if client.get(f"/user/{self.account}/api/status", allow_redirects=False).status_code != 200:
            self._kernel = self._terminal = None
            try:
                client.start_server()
            except HubFailure:
                # The server was ended without the hub, which polls every two seconds.
                time.sleep(4)
                client.start_server()
        return client

    def stop(self) -> None:
        """Stop the person's server and everything in it, and wait until the hub has noticed."""
        client = self.client
        self._kernel = self._terminal = None
        client.stop_server()
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            known = client.get(f"/hub/api/users/{self.account}", headers={"Referer": f"{client.base}/hub/home"}).json()
            if not known["server"] and not known["pending"]:
                return
            time.sleep(0.1)
        pytest.fail(f"the server of {self.account} has not ended within 60 s")

    def restart(self) -> None:
        """A new server in place of one that an attack has damaged."""
        self.stop()
        for _ in range(30):
            # If a server stops slowly, the hub answers before it has stopped.
            with contextlib.suppress(HubFailure):
                self.serve()
                return
            time.sleep(1)
        self.serve()

    def python(self, code: str, seconds: float = 60) -> str:
        """Run code in a kernel of the person's server; return its output, or the error's name and text.

        The test fails if the code itself is wrong. Raises HubFailure if the kernel dies.
        """
        client = self.serve()
        if self._kernel is None or not self._alive(client, self._kernel):
            started = client.api("POST", "/api/kernels", json={"name": "python3"}, timeout=90).json()
            self._kernel = Kernel(client, started["id"])
        printed = self._kernel.run(_ATTEMPT.format(code=code), seconds)
        if _BROKEN.search(printed):
            pytest.fail(f"the attack is broken and tried nothing: {printed}")
        return printed

    def shell(self, script: str, seconds: float = 60) -> Answer:
        """Run a bash script in a terminal of the person's server.

        The test fails if a command does not exist. Raises HubFailure if the terminal dies, TimeoutError if the script
        takes too long; the next call opens a new terminal.
        """
        client = self.serve()
        if self._terminal is None or not self._terminal.is_there():
            self._terminal = Terminal(client)
        try:
            answer = self._terminal.run(script, seconds)
        except (HubFailure, TimeoutError):
            self._terminal.close()
            self._terminal = None
            raise
        if answer.code == 127:
            pytest.fail(f"the attack is broken and tried nothing: {answer.text}")
        return answer

    def token(self) -> str:
        """The API token of the person's server, which every program in it can read."""
        found = self.python("import os; print(os.environ['JUPYTERHUB_API_TOKEN'])")
        assert re.fullmatch(r"[0-9a-f]{32,}", found), found
        return found

    def with_token(self, method: str, path: str, token: str, **options: Any) -> requests.Response:
        """A request to the hub with a bearer token and without cookies."""
        headers = {"Authorization": f"Bearer {token}", **options.pop("headers", {})}
        stranger = anonymous(self.hub)
        return stranger.http.request(method, stranger.origin(path) + path, headers=headers, timeout=20, **options)

    @staticmethod
    def _alive(client: HubClient, kernel: Kernel) -> bool:
        try:
            return client.api("GET", f"/api/kernels/{kernel.id}").status_code == 200
        except HubFailure:
            return False


def anonymous(hub: Hub) -> HubClient:
    """A browser without any sign-in."""
    bundle = hub.document["ca_bundle"]
    return HubClient(hub.document["hostname"], "nobody", Path(bundle) if bundle else None)


@dataclass(frozen=True)
class Outside:
    """Somebody without an account, on another computer, who may send any bytes."""

    hub: Hub

    @property
    def name(self) -> str:
        return str(self.hub.document["hostname"])

    @property
    def address(self) -> str:
        return str(self.hub.document["server"]["ip"])

    def browser(self) -> HubClient:
        """A browser without any sign-in."""
        return anonymous(self.hub)

    @contextlib.contextmanager
    def line(self, *, port: int = 443, seconds: float = 10) -> Iterator[socket.socket]:
        """A connection to the server: verified TLS with the hub's name on port 443, plain TCP on any other port."""
        with socket.create_connection((self.address, port), seconds) as raw:
            if port != 443:
                yield raw
                return
            context = ssl.create_default_context(cafile=self.hub.document["ca_bundle"])
            with context.wrap_socket(raw, server_hostname=self.name) as tls:
                yield tls

    def ssh(self, account: str, key: Path) -> subprocess.CompletedProcess[str]:
        """Try once to sign in by SSH with this private key: sshd blocks an address after too many failures."""
        project, course = self.hub.sandbox.project, self.hub.course
        # Not Access's options, which would reuse root's own connection.
        options = (
            f"UserKnownHostsFile={project.state / 'servers' / course / 'known_hosts'}",
            f"HostKeyAlias={Access(project, course).alias}",
            "BatchMode=yes",
            "IdentitiesOnly=yes",
            "ConnectTimeout=20",
        )
        return subprocess.run(
            [
                *("ssh", "-F", "none", "-i", str(key)),
                *(part for option in options for part in ("-o", option)),
                *(f"{account}@{self.address}", "id"),
            ],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def send(self, data: bytes, *, port: int = 443, seconds: float = 10) -> bytes:
        """Send bytes; return all that the server sends until it closes or is silent for ``seconds``."""
        answer = b""
        with self.line(port=port, seconds=seconds) as line, contextlib.suppress(OSError):
            line.sendall(data)
            while more := line.recv(65536):
                answer += more
        return answer


def statuses(answer: bytes) -> list[int]:
    """The HTTP status of each response in a connection's data."""
    return [int(code) for code in re.findall(rb"(?:^|\n)HTTP/1\.[01] (\d{3})", answer)]
