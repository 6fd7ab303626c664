"""A student tries to take the place of a part of the hub, or of another student's server.

By its port, its socket or its directory: before it starts, while it runs, and while it restarts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from runner.hub.client import HubFailure
from tests.support.attackers import Person
from tests.support.hub import Hub

RUN = "/run/coursehub"
SOCKETS = ("front/proxy.sock", "proxy-api/api.sock", "hub/hub.sock", "work/work.sock")
CLOSED = ("front", "proxy-api", "hub", "work", "servers", "environments")

#: Takes ports as long as it runs, and records who connects to one.
SQUAT = """
import os, resource, selectors, socket
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
ports = [8000, 8001, 8002, 8081, *range(32768, 60999)]
share = 24
mine = next((n for n in range(1, share) if os.fork() == 0), 0)
waiting, held = selectors.DefaultSelector(), 0
for port in ports[mine::share]:
    try:
        one = socket.socket()
    except OSError:
        break
    try:
        one.bind(("127.0.0.1", port))
        one.listen()
        waiting.register(one, selectors.EVENT_READ)
        held += 1
    except OSError:
        one.close()
open(f"held-{mine}", "w").write(str(held))
while True:
    for key, _ in waiting.select():
        caller, _ = key.fileobj.accept()
        caller.settimeout(2)
        try:
            said = caller.recv(4096)
        except OSError:
            said = b"nothing"
        with open("caught", "ab") as caught:
            caught.write(b"%d: %r\\n" % (key.fileobj.getsockname()[1], said))
        caller.close()
"""


@pytest.fixture
def squatter(mallory: Person) -> Iterator[Person]:
    """Mallory, who holds every port that she can get."""
    code = f"""
import pathlib, subprocess, sys, time
place = pathlib.Path.home() / "squat"
place.mkdir(exist_ok=True)
(place / "squat.py").write_text({SQUAT!r})
squat = subprocess.Popen([sys.executable, "squat.py"], cwd=place)
for _ in range(300):
    if len(list(place.glob("held-*"))) == 24 or squat.poll() is not None:
        break
    time.sleep(0.1)
print(sum(int(one.read_text()) for one in place.glob("held-*")))
"""
    assert int(mallory.python(code)) > 5000
    try:
        yield mallory
    finally:
        mallory.shell('pkill -u "$USER" -f squat.py; rm -rf ~/squat')


def caught(mallory: Person) -> str:
    return mallory.shell("cat ~/squat/caught 2>/dev/null || true").text


@pytest.mark.disturbs
def test_every_port_before_a_server_starts(squatter: Person, bob: Person, hub: Hub) -> None:
    """Tries: to hold all free ports when another student's server is about to start, to be taken for it.

    Stopped by: no server has a port; systemd makes its socket where nobody else may.
    """
    bob.restart()
    assert bob.python("import os; print(os.environ['USER'])") == bob.account
    assert hub.run(f"stat -c %U:%G {RUN}/servers/{bob.account}.sock").strip() == "root:coursehub-proxy"
    assert caught(squatter) == ""


@pytest.mark.disturbs
def test_ports_of_the_hub_while_it_restarts(squatter: Person, alice: Person, hub: Hub) -> None:
    """Tries: to listen in place of hub, proxy, its API and "Students' work" while they restart.

    Stopped by: none of them has a port.
    """
    alice.serve()
    hub.run("systemctl restart jupyterhub-work jupyterhub-proxy jupyterhub", seconds=180)
    assert alice.client.get("/hub/home").status_code == 200
    assert alice.python("print(6 * 7)") == "42"
    assert caught(squatter) == ""


@pytest.mark.parametrize("path", SOCKETS)
def test_a_socket_of_the_hub_is_opened(mallory: Person, path: str) -> None:
    """Tries: to connect to the proxy, its API, the hub and "Students' work" at their own sockets, without nginx.

    Stopped by: only the two ends can enter the directory.
    """
    said = mallory.python(f"import socket; socket.socket(socket.AF_UNIX).connect('{RUN}/{path}')")
    assert said.startswith("PermissionError"), said


def test_anothers_server_at_its_socket(mallory: Person, alice: Person) -> None:
    """Tries: to connect to another student's server at its socket, and to one's own, without the proxy.

    Stopped by: only the proxy can enter the directory of the sockets.
    """
    alice.serve()
    for account in (alice.account, mallory.account):
        code = f"import socket; socket.socket(socket.AF_UNIX).connect('{RUN}/servers/{account}.sock')"
        assert mallory.python(code).startswith("PermissionError")


@pytest.mark.parametrize("place", [*CLOSED, "door", "."])
def test_a_socket_or_link_of_ones_own_there(mallory: Person, hub: Hub, place: str) -> None:
    """Tries: to put a socket, a link, a file or a directory beside or over the hub's.

    Stopped by: the directories are root's or the proxy's, and read-only for a student's server.
    """
    directory = f"{RUN}/{place}"
    before = hub.run(f"ls -AR {RUN} | grep -v :")
    code = f"""
import os, socket
tries = [
    lambda: socket.socket(socket.AF_UNIX).bind("{directory}/mine.sock"),
    lambda: os.symlink("{RUN}/hub/hub.sock", "{directory}/mine.sock"),
    lambda: os.mkdir("{directory}/mine"),
    lambda: open("{directory}/mine", "w"),
    lambda: os.rename("{directory}", "{directory}.old"),
    lambda: os.chmod("{directory}", 0o777),
    lambda: os.unlink("{directory}/hub.sock"),
]
for one in tries:
    try:
        one()
        print("DONE")
    except OSError as error:
        print(error.errno)
"""
    said = mallory.python(code).split()
    assert len(said) == 7
    # EACCES, EPERM, EROFS, EBUSY; ENOENT only if the search was allowed.
    assert set(said) <= {"1", "13", "30", "16", *(["2"] if place in ("door", ".") else [])}, said
    assert hub.run(f"ls -AR {RUN} | grep -v :") == before


@pytest.mark.disturbs
def test_place_of_a_socket_during_a_restart(mallory: Person, hub: Hub) -> None:
    """Tries: repeatedly to take the place of a socket while its owner is away.

    Stopped by: only the owner may write in the directories, whether or not a socket is there.
    """
    code = f"""
import pathlib, subprocess, sys
watch = '''
import os, socket, time
end = time.monotonic() + 12
tried = taken = 0
while time.monotonic() < end:
    for path in {[f"{RUN}/{path}" for path in (*SOCKETS, "door/hub.sock")]!r}:
        tried += 1
        try:
            socket.socket(socket.AF_UNIX).bind(path)
            taken += 1
        except OSError:
            pass
print(tried, taken)
'''
subprocess.Popen([sys.executable, "-c", watch], stdout=open(pathlib.Path.home() / "taken.txt", "w"))
"""
    assert mallory.python(code) == ""
    hub.run("systemctl restart jupyterhub-work jupyterhub-proxy jupyterhub", seconds=180)
    # Read by root: the restart may have closed mallory's connection to the kernel.
    told = f"/home/{mallory.account}/taken.txt"
    said = hub.run(f"for second in $(seq 60); do [ -s {told} ] && break; sleep 1; done; cat {told}; rm {told}")
    tried, taken = map(int, said.split())
    assert tried > 100
    assert taken == 0


def test_tokens_on_their_way_to_a_server(mallory: Person, alice: Person, hub: Hub) -> None:
    """Tries: to read what systemd reads when another student's server starts, including their token.

    Stopped by: only root can read it, and it is deleted as soon as the server answers.
    """
    alice.serve()
    assert hub.run(f"ls -A {RUN}/environments") == ""
    assert mallory.python(f"import os; os.listdir('{RUN}/environments')").startswith("PermissionError")


@pytest.mark.parametrize("address", ["login", "home", "token", "logout", "spawn", "admin", "oauth_login"])
def test_the_door_of_servers_gives_pages(mallory: Person, address: str) -> None:
    """Tries: to sign in, or to open pages, at the socket where servers ask the hub, past nginx and its limits.

    Stopped by: the hub serves only its API there.
    """
    code = f"""
import http.client, socket
line = http.client.HTTPConnection("hub")
line.sock = socket.socket(socket.AF_UNIX)
line.sock.connect("{RUN}/door/hub.sock")
line.request("POST", "/hub/{address}", "username=a&password=b", {{"X-Forwarded-For": "192.0.2.77"}})
print(line.getresponse().status)
"""
    assert mallory.python(code) == "404"


def test_an_address_is_forged_at_the_door(mallory: Person, hub: Hub) -> None:
    """Tries: to let the hub log another address for one's own requests, with the header that the proxy sets.

    Stopped by: at the servers' socket this header is ignored.
    """
    code = f"""
import http.client, os, socket
line = http.client.HTTPConnection("hub")
line.sock = socket.socket(socket.AF_UNIX)
line.sock.connect("{RUN}/door/hub.sock")
asked = {{"Authorization": "token " + os.environ["JUPYTERHUB_API_TOKEN"], "X-Forwarded-For": "192.0.2.77",
         "X-Real-IP": "192.0.2.77"}}
line.request("GET", "/hub/api/users", headers=asked)
print(line.getresponse().status)
"""
    assert mallory.python(code) == "403"
    # Only the hub's own lines: a student's server prints into the journal too.
    assert hub.run("journalctl -b _SYSTEMD_UNIT=jupyterhub.service | grep -c 192.0.2.77 || true").strip() == "0"


def test_the_hub_has_no_line_left(mallory: Person, alice: Person) -> None:
    """Tries: to hold so many connections to the hub that it has none left for others.

    Stopped by: an account may have forty at a time.
    """
    code = f"""
import builtins, socket
builtins.lines = lines = []
closed = 0
for _ in range(600):
    one = socket.socket(socket.AF_UNIX)
    one.settimeout(5)
    one.connect("{RUN}/door/hub.sock")
    lines.append(one)
import time; time.sleep(1)
for one in lines:
    one.settimeout(0)
    try:
        closed += one.recv(1) == b""
    except BlockingIOError:
        pass
    except OSError:
        closed += 1
print(closed)
"""
    try:
        assert int(mallory.python(code)) >= 550
        alice.forget()
        assert alice.python("print(6 * 7)") == "42"
    finally:
        mallory.python("import builtins\nfor one in builtins.lines: one.close()")


def test_a_route_without_a_server(mallory: Person, hub: Hub) -> None:
    """Tries: to let the proxy send one's visitors to one's own socket, after one's server has ended.

    Stopped by: the route leads to a path in a directory of root's, and the socket there is removed with the server.
    """
    mallory.serve()
    socket = f"{RUN}/servers/{mallory.account}.sock"
    assert hub.run(f"test -S {socket} && echo there").strip() == "there"
    hub.run(f"systemctl kill --signal=KILL {mallory.unit}; sleep 1")
    assert hub.run(f"test -e {socket} || echo gone").strip() == "gone"
    try:
        assert mallory.client.get(f"/user/{mallory.account}/api/status").status_code in (424, 503)
    finally:
        mallory.forget()
        for _ in range(3):
            try:
                mallory.serve()
                break
            except HubFailure:
                continue
    assert json.loads(mallory.client.get(f"/user/{mallory.account}/api/status").text)["kernels"] == 0
