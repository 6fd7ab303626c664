"""A student tries to use the connections behind nginx: hub, proxy, "Students' work" and other people's servers."""

from __future__ import annotations

import re

import pytest

from tests.support.attackers import Person
from tests.support.hub import Hub

#: Each socket below /run/coursehub by its directory and file; only the servers' entrance is open to everybody.
SOCKETS = ("front/proxy.sock", "proxy-api/api.sock", "hub/hub.sock", "work/work.sock", "servers/{alice}.sock")


#: Sockets of a Debian that every account may use, by name: each service checks who connects, or a password.
FOR_EVERYBODY = {
    "/run/coursehub-passwd.sock",
    "/run/coursehub/door/hub.sock",
    # Debian 12's systemd spells it so.
    "/run/systemd/io.system.ManagedOOM",
    "/run/systemd/io.systemd.Credentials",
    "/run/systemd/io.systemd.Hostname",
    "/run/systemd/io.systemd.ManagedOOM",
    "/run/systemd/userdb/io.systemd.DynamicUser",
}


def test_inner_sockets_are_entered(mallory: Person, alice: Person, hub: Hub) -> None:
    """Tries: to connect to hub, proxy, "Students' work" and another student's server without nginx, and to list them.

    Stopped by: each socket is in a directory that only its two ends can enter.
    """
    alice.serve()
    paths = [f"/run/coursehub/{name.format(alice=alice.account)}" for name in SOCKETS]
    assert hub.run(f"ls {' '.join(paths)} | wc -l").strip() == str(len(paths))
    said = mallory.python(f"""
import os, socket
for path in {paths}:
    line = socket.socket(socket.AF_UNIX)
    try:
        line.connect(path)
        print("ENTERED", path)
    except PermissionError:
        print("closed")
    try:
        print("LISTED", os.listdir(os.path.dirname(path)))
    except PermissionError:
        print("closed")
""")
    assert said.split() == ["closed"] * 2 * len(paths), said


def test_inner_sockets_of_the_system(mallory: Person) -> None:
    """Tries: every socket in /run, to find a service of root's that answers a student past the firewall, such as sshd.

    Stopped by: the sockets' permissions; systemd's own socket for sshd is masked (formula base, sshd.sls).
    """
    said = mallory.python("""
import os, socket, stat
tried = 0
for directory, _, names in os.walk("/run"):
    for path in (os.path.join(directory, name) for name in names):
        if directory == os.environ["JUPYTER_RUNTIME_DIR"] or not stat.S_ISSOCK(os.lstat(path).st_mode):
            continue
        tried += 1
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(2)
            try:
                line.connect(path)
                print(path)
            except OSError:
                pass
print(tried > 4 or tried)
""")
    *opened, tried = said.splitlines()
    assert tried == "True"
    assert set(opened) <= FOR_EVERYBODY, set(opened) - FOR_EVERYBODY


def test_inner_sockets_are_replaced(mallory: Person, alice: Person) -> None:
    """Tries: to put a socket or a link where the proxy expects a victim's server, before it starts.

    Stopped by: the directories are root's or the proxy's; systemd makes each socket.
    """
    said = mallory.python(f"""
import os, socket
for directory in ("front", "proxy-api", "hub", "work", "servers", "door", "environments", "."):
    for name in ("{alice.account}.sock", "hub.sock", "proxy.sock"):
        path = os.path.join("/run/coursehub", directory, name)
        for attempt in (
            lambda: socket.socket(socket.AF_UNIX).bind(path),
            lambda: os.symlink("/tmp/mine", path),
            lambda: os.unlink(path),
        ):
            try:
                attempt()
                print("DONE", path)
            except OSError:
                pass
print("tried")
""")
    assert said == "tried", said


@pytest.mark.disturbs
def test_inner_ports_are_taken_first(mallory: Person, bob: Person, hub: Hub) -> None:
    """Tries: to bind every free port, so that the hub takes the attacker's program for a victim's server (S1).

    Stopped by: nothing behind nginx listens on TCP; servers have Unix sockets that systemd makes.
    """
    bob.stop()
    said = mallory.shell("""
        python3 -c '
import os, resource, socket, time
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
parts = [range(1024, 20000), range(20000, 40000), range(40000, 61000)]
for ports in parts:
    if os.fork():
        continue
    held = []
    for port in ports:
        try:
            line = socket.socket()
            held.append(line)
            line.bind(("127.0.0.1", port))
            line.listen()
        except OSError:
            if len(held) > 15000:
                break
    print("held", len(held), flush=True)
    time.sleep(60)
    os._exit(0)
' > /tmp/held 2>&1 &
        for i in $(seq 100); do [ "$(grep -c held /tmp/held)" = 3 ] && break; sleep 0.2; done
        cat /tmp/held
    """)
    try:
        assert sum(int(count) for count in re.findall(r"held (\d+)", said.text)) > 20000, said.text
        assert bob.python("import os; print(os.path.expanduser('~'))") == bob.home
        inside = hub.run("ss -Hltnp '( sport != :22 and sport != :80 and sport != :443 )' | grep -v python3 || true")
        assert inside.strip() == "", inside
    finally:
        mallory.restart()


#: Root's side: the sockets of a trial, as an upgrade makes them, without its hub.
TRIAL = """
import os, socket, sys
sys.path.insert(0, "/usr/local/lib/coursehub")
from coursehub_upgrade import config, main, trial
here = config.read()
with main._alone(here):
    trial.clear(here)
    trial.begin(here)
    trial.open_for_proxy(here)
    path = here.sockets / "door/hub.sock"
    path.parent.mkdir()
    # As tmpfiles.conf and the hub make it.
    path.parent.chmod(0o711)
    socket.socket(socket.AF_UNIX).bind(str(path))
    path.chmod(0o666)
    print(path)
"""
#: Says how far one gets; nobody listens there.
KNOCK = """
import socket
try:
    socket.socket(socket.AF_UNIX).connect("{path}")
except OSError as error:
    print(type(error).__name__)
"""


def test_inner_door_of_a_trial(mallory: Person, hub: Hub) -> None:
    """Tries: to ask the hub of an upgrade's trial, whose copy of the database has everybody's tokens.

    Stopped by: its sockets are in a directory that only root and the proxy can enter (coursehub_upgrade/trial.py).
    """
    mallory.serve()
    try:
        path = hub.run(f"python3 - <<'END'\n{TRIAL}END").strip()
        knock = KNOCK.format(path=path)
        # The directory's other end gets there.
        assert (
            hub.run(f"runuser -u coursehub-proxy -- python3 - <<'END'\n{knock}END").strip() == "ConnectionRefusedError"
        )
        assert mallory.python(knock) == "PermissionError"
    finally:
        hub.run("coursehub-upgrade mend")


@pytest.mark.parametrize("path", ["/hub/login", "/hub/home", "/hub/admin", "/hub/static/x", "/", "/user/x/"])
def test_inner_door_gives_more_than_the_api(mallory: Person, path: str) -> None:
    """Tries: to sign in, or to open pages, past nginx's limits and headers, at the socket where servers ask the hub.

    Stopped by: this socket answers only for the hub's API.
    """
    said = mallory.python(f"""
import socket
line = socket.socket(socket.AF_UNIX)
line.connect("/run/coursehub/door/hub.sock")
line.sendall(b"GET {path} HTTP/1.1\\r\\nHost: x\\r\\nX-Forwarded-For: 192.0.2.9\\r\\nConnection: close\\r\\n\\r\\n")
print(line.recv(100))
""")
    assert "404" in said, said
