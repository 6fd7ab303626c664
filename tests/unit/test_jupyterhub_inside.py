"""The connections behind nginx: with the hub's own classes and real sockets, without systemd."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from runner.hub import inside as inside_look
from tests.support import unix_http
from tests.support.hub_config import FILES
from tests.support.root import eventually

pytestmark = pytest.mark.unit

#: The servers' socket with an application that says who it thinks its visitor is.
DOOR = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tornado.web import Application, RequestHandler
from class_inside import door

class Says(RequestHandler):
    def get(self, what):
        self.write({"what": what, "uid": self.request.connection.context.address.uid, "ip": self.request.remote_ip})
    post = get

async def main():
    door.open_door(Application([("/(.*)", Says)]), Path(sys.argv[2]), "/hub/")
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def door(hub_python: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    path = str(tmp_path_factory.mktemp("door") / "hub.sock")
    process = subprocess.Popen([hub_python, "-B", "-c", DOOR, str(FILES), path])
    try:
        eventually(lambda: Path(path).exists() or process.poll() is not None, 60)
        yield path
    finally:
        process.kill()
        process.wait(timeout=10)


@pytest.mark.parametrize("address", ["api", "api/", "api/users/ada/activity", "api/oauth2/token?x=1"])
def test_door_gives_the_api_and_knows_who_asks(door: str, address: str) -> None:
    claimed = {"X-Forwarded-For": "10.9.8.7", "X-Real-IP": "10.9.8.7"}
    answer = unix_http.session(door).get(f"http://hub/hub/{address}", headers=claimed, timeout=10).json()
    assert answer["uid"] == os.getuid()
    assert answer["ip"] != "10.9.8.7"


@pytest.mark.parametrize("address", ["", "login", "home", "apis", "api%2f..%2flogin", "logout?api/", "token"])
def test_door_gives_nothing_else(door: str, address: str) -> None:
    assert unix_http.session(door).get(f"http://hub/hub/{address}", timeout=10).status_code == 404


def test_door_takes_a_few_connections_of_one_account(door: str) -> None:
    """One student's program must not use up the hub's file descriptors."""
    with contextlib.ExitStack() as held:
        closed = 0
        for _ in range(60):
            connection = held.enter_context(socket.socket(socket.AF_UNIX))
            connection.settimeout(5)
            connection.connect(door)
            try:
                connection.sendall(b"GET /hub/api HTTP/1.1\r\nHost: x\r\n\r\n")
                closed += not connection.recv(64).startswith(b"HTTP/1.1 200")
            except OSError:
                closed += 1
        assert closed == 20

    def answers() -> bool:
        try:
            return unix_http.session(door).get("http://hub/hub/api", timeout=10).status_code == 200
        except requests.ConnectionError:
            # The socket has not counted all of them down yet.
            return False

    eventually(answers, 10)


def test_door_takes_no_big_body(door: str) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(door)
        connection.sendall(b"POST /hub/api/x HTTP/1.1\r\nHost: x\r\nContent-Length: 90000000\r\n\r\n")
        answer = connection.recv(1000)
    assert not answer or answer.startswith(b"HTTP/1.1 400")


def test_door_takes_no_long_address(door: str) -> None:
    """The hub would log it, and with it push others' lines out of the journal."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(door)
        with contextlib.suppress(OSError):
            connection.sendall(b"GET /hub/api/" + b"x" * 60_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = b""
        with contextlib.suppress(OSError):
            answer = connection.recv(1000)
    assert not answer.startswith(b"HTTP/1.1 2")
    assert not answer.startswith(b"HTTP/1.1 404")


def inside(hub_python: str, script: str) -> Any:
    done = subprocess.run(
        [hub_python, "-B", "-c", f"import json, sys\nsys.path.insert(0, {str(FILES)!r})\n{script}"],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_servers_url_has_no_port_as_the_hub_keeps_it(hub_python: str) -> None:
    """An older server's URL, which still has a port, keeps it."""
    said = inside(
        hub_python,
        """
from urllib.parse import unquote, urlparse
from jupyterhub import orm
from jupyterhub.objects import Server
from class_inside import spawner
from class_inside.places import Places, url_of
url = urlparse(url_of(Places().server("ada")))
kept = Server(orm_server=orm.Server(proto=url.scheme, ip=url.hostname, port=80, base_url="/user/ada/", cookie_name=""))
old = Server(orm_server=orm.Server(proto="http", ip="127.0.0.1", port=40123, base_url="/user/bob/", cookie_name=""))
print(json.dumps([unquote(kept.host), kept.url, old.url]))
""",
    )
    assert said[0] == "http+unix:///run/coursehub/servers/ada.sock"
    assert said[1].endswith("ada.sock/user/ada/")
    assert said[2] == "http://127.0.0.1:40123/user/bob/"


@pytest.mark.parametrize("name", ["../hub/hub", "a/b", "Ada", "a" * 90])
def test_no_socket_is_named_after_an_odd_account(name: str) -> None:
    sys.path.insert(0, str(FILES))
    try:
        from class_inside.places import Places  # type: ignore[import-not-found]
    finally:
        sys.path.remove(str(FILES))
    with pytest.raises(ValueError, match="no socket can be named"):
        Places().server(name)


def test_unit_is_bound_to_a_socket_of_roots(hub_python: str) -> None:
    argv = inside(
        hub_python,
        """
from pathlib import Path
from class_inside.units import Server
server = Server("jupyter-ada", 1001, 1002, "/home/ada", "class.slice", Path("/run/x/ada.sock"), "proxies",
                Path("/run/e/ada.env"), {"MemoryMax": "1G", "SystemCallFilter": ["@a", "~@b"]}, ["start", "--x"])
print(json.dumps(server.command()))
""",
    )
    assert argv[0] == "systemd-run"
    assert argv[-3:] == ["--", "start", "--x"]
    for line in ("ListenStream=/run/x/ada.sock", "SocketUser=root", "SocketGroup=proxies", "SocketMode=0660",
                 "RemoveOnStop=yes", "BindsTo=jupyter-ada.service", "CollectMode=inactive-or-failed"):  # fmt: skip
        assert f"--socket-property={line}" in argv
    for line in ("MemoryMax=1G", "SystemCallFilter=@a", "SystemCallFilter=~@b", "EnvironmentFile=/run/e/ada.env",
                 "CollectMode=inactive-or-failed"):  # fmt: skip
        assert f"--property={line}" in argv


def test_server_that_ends_in_its_start_is_reported_at_once(hub_python: str) -> None:
    """Requests wait in the socket of a slowly starting server; if the server ends, nobody should wait."""
    said = inside(
        hub_python,
        """
import asyncio, os, tempfile, time
from types import SimpleNamespace
from class_inside import spawner, units
from class_inside.places import url_of

async def main():
    path = os.path.join(tempfile.mkdtemp(), "s.sock")
    alive = True
    async def runs(_): return alive
    units.runs = runs
    fake = SimpleNamespace(unit_name="jupyter-ada")
    answers = lambda: spawner.ClassSpawner.answers(fake, url_of(path, "/user/ada/"))

    async def slow(reader, writer):
        await reader.readuntil(b"\\r\\n\\r\\n")
        await asyncio.sleep(0.5)
        writer.write(b"HTTP/1.1 302 Found\\r\\nContent-Length: 0\\r\\nConnection: close\\r\\n\\r\\n")
        writer.close()
    server = await asyncio.start_unix_server(slow, path)
    await answers()
    server.close(); os.path.exists(path) and os.unlink(path)

    async def dies(reader, writer):
        nonlocal alive
        alive = False
        writer.transport.abort()
    server = await asyncio.start_unix_server(dies, path)
    began = time.monotonic()
    try:
        await answers()
    except units.Ended as ended:
        print(json.dumps([time.monotonic() - began, str(ended)]))
    from jupyterhub.httpclient import JupyterHubHTTPClient
    await JupyterHubHTTPClient.loop_instance().close()

asyncio.run(main())
""",
    )
    assert said[0] < 1
    assert said[1] == "jupyter-ada"


@pytest.mark.parametrize(
    ("happens", "says", "room"),
    [
        ("raise units.Ended('jupyter-ada')", "The disk is full. Tell your teacher", True),
        (
            "fake.unit_name = 'jupyter-bob'; raise units.Ended('x')",
            "The last that it said: my diary. Start it again",
            True,
        ),
        ("await asyncio.sleep(9)", "It did not answer within 1 s. The disk is full. Tell your teacher", True),
        ("raise units.UnitError('Unit exists')", "The server's system says: Unit exists. Start it again", True),
        ("raise KeyError('ada')", "Your account is not on the server. Tell your teacher", True),
        ("raise homes.NoHome('Your home directory is not there')", "Your home directory is not there. Tell", True),
        ("pass", "All of the server's memory is used by others", False),
    ],
)
def test_failed_start_is_reported_with_its_reason(hub_python: str, happens: str, says: str, room: bool) -> None:
    """The student reads the reason. The hub's log has it too, but nothing that a server said."""
    said = inside(
        hub_python,
        f"""
import asyncio
from types import SimpleNamespace
from jupyterhub.utils import format_exception
from class_inside import homes, last_words, spawner, units
from class_inside.turns import Turns

async def why(unit, since, hidden):
    line = "my diary" if unit == "jupyter-bob" else "No space left on device: 'my diary'"
    return last_words.explain([{{"_PID": "7", "MESSAGE": line}}])
spawner.reason = why
spawner.SOONER = 1

async def started(): {happens}
fake = SimpleNamespace(unit_name="jupyter-ada", api_token="t0p", user=SimpleNamespace(name="ada"), _started=started,
                       _patience=1, queue_timeout=1, _all={{}}, on_start=str, turns=Turns(1, lambda _more: {room}))
try:
    asyncio.run(spawner.ClassSpawner.start(fake))
except spawner.NotStarted as ended:
    print(json.dumps([format_exception(ended, only_jupyterhub=True)[0], str(ended), ended.status_code]))
""",
    )
    assert said[0].startswith(says)
    assert "'coursehub logs COURSE ada'" in said[0]
    assert "journalctl -u jupyter-ada" in said[1]
    assert "diary" not in said[1]
    assert (says.partition(". ")[0] in said[1]) == ("diary" not in says)
    assert said[2] == 500
    # `coursehub status` finds it in the hub's log.
    line = f"[E 2026-11-30 01:14:05.179 ClassHub user:1065] Not starting ada's server : {said[1]}\n"
    argv = ["bash", "-c", inside_look.STARTS]
    assert subprocess.run(argv, input=line, capture_output=True, text=True, check=True).stdout.startswith("lost ada ")
