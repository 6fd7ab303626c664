"""A student uses up a resource: processes, memory, processors, file descriptors, lines of a log."""

from __future__ import annotations

import contextlib
import json
import time

import pytest

from runner.hub.client import HubFailure
from tests.attacks.test_last_words import JOURNAL
from tests.support.attackers import Person
from tests.support.hub import Hub

pytestmark = pytest.mark.disturbs


def end(person: Person, hub: Hub) -> None:
    """Remove the person's server, however overloaded it is."""
    hub.run(f"systemctl kill -s KILL {person.unit}; systemctl stop {person.unit}; true")
    person.forget()


def works(person: Person, seconds: float = 20) -> None:
    """Check that somebody else can compute meanwhile, and that the hub answers."""
    began = time.monotonic()
    assert person.python("print(6 * 7)") == "42"
    assert person.client.get("/hub/home", allow_redirects=False).status_code == 200
    assert time.monotonic() - began < seconds


def test_a_fork_bomb(mallory: Person, alice: Person, hub: Hub) -> None:
    """Tries: to fork until the server has no process left for anybody.

    Stopped by: TasksMax of the student's unit.
    """
    alice.python("1")
    try:
        said = mallory.shell("""
            python3 -c '
import os, time
forked = 0
try:
    while forked < 30000:
        if os.fork() == 0:
            time.sleep(30)
            os._exit(0)
        forked += 1
except OSError as error:
    print("stopped", forked, error.errno)
'
        """)
        _, forked, _ = said.text.split()
        assert int(forked) <= int(hub.run(f"systemctl show -p TasksMax --value {mallory.unit}")) < 5000
        works(alice)
    finally:
        end(mallory, hub)


def test_all_of_the_memory(mallory: Person, alice: Person, hub: Hub) -> None:
    """Tries: to use all memory: from a kernel, from a terminal, as files in memory.

    Stopped by: MemoryMax of the student's unit, which counts all of it.
    """
    alice.python("1")
    mallory.serve()
    try:
        assert int(hub.run(f"systemctl show -p MemoryMax --value {mallory.unit}")) < 8 << 30
        with pytest.raises(HubFailure):
            mallory.python("import numpy; hog = [numpy.ones(1 << 24) for _ in range(1 << 10)]")
        mallory.forget()
        # The kernel may kill the terminal.
        with contextlib.suppress(HubFailure):
            mallory.shell("head -c 20G /dev/zero > /dev/shm/hog; rm -f /dev/shm/hog", seconds=120)
        works(alice)
    finally:
        end(mallory, hub)
    # The student's files there are removed with the server.
    assert hub.run("find /dev/shm /run/lock -name hog").strip() == ""


def test_disk_of_all_by_weight(mallory: Person, hub: Hub) -> None:
    """Tries: to write so much that the hub's own files wait for the disk.

    Stopped by: all servers of the class together have half the weight of the hub at the disk (class.slice).
    """
    assert "class.slice" in mallory.shell("cat /proc/self/cgroup").text
    assert hub.run("systemctl show class.slice -p IOWeight --value").strip() == "50"
    shown = hub.run("systemctl show jupyterhub.service -p Slice -p IOWeight")
    # A unit without a weight of its own has 100.
    assert "Slice=system.slice" in shown and "IOWeight=[not set]" in shown, shown


def test_all_of_the_processors(mallory: Person, alice: Person) -> None:
    """Tries: to keep every processor busy with many processes.

    Stopped by: CPUQuota of the student's unit, and the kernel's fair shares between units.
    """
    alice.python("1")
    mallory.shell("for i in $(seq 40); do timeout 15 sh -c 'while :; do :; done' & done; true")
    try:
        works(alice)
    finally:
        mallory.restart()


def test_all_open_files(mallory: Person, alice: Person) -> None:
    """Tries: to open files, sockets and watches until the system has none left.

    Stopped by: limits of a process and a unit, which are far below the system's.
    """
    alice.python("1")
    code = """
import os, resource, select, socket
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
children = []
for _ in range(8):
    pid = os.fork()
    if pid == 0:
        held = []
        try:
            while True:
                held += socket.socketpair()
        except OSError:
            pass
        import time
        time.sleep(8)
        os._exit(0)
    children.append(pid)
import time
time.sleep(4)
for pid in children:
    os.kill(pid, 9)
    os.waitpid(pid, 0)
print("tried", hard)
"""
    assert "tried" in mallory.python(code)
    works(alice)
    mallory.restart()


def test_terminals_without_end(mallory: Person, alice: Person) -> None:
    """Tries: to open terminals until the server has no pseudo-terminals left.

    Stopped by: the kernel's limit is per instance of devpts, and TasksMax is reached long before.
    """
    said = mallory.python("""
import os
held = []
try:
    while len(held) < 20000:
        held += os.openpty()
except OSError as error:
    print("ended", error.errno)
for one in held:
    os.close(one)
""")
    assert said.startswith("ended"), said
    assert alice.shell("tty").text.startswith("/dev/pts/")


def test_a_flood_of_the_journal(bob: Person, hub: Hub) -> None:
    """Tries: to push others' lines out of the journal by writing without end, also in lines without end.

    Stopped by: each unit's limit for its lines, a limit for each line, and no other way to journald.
    """
    hub.run("logger -t coursehub-attack kept-4711")
    # Not Mallory: for half a minute none of her lines would be kept, and other attacks look for one.
    said = bob.python(
        JOURNAL
        + """
journal.settimeout(5)
sent = 0
try:
    for number in range(3000):
        # Each priority would have a limit of its own.
        journal.sendall(b"<%d>" % (number % 8) + b"x" * 40_000 + b"\\n")
        sent += 40_000
except OSError:
    pass
print(sent > 20_000_000 or sent)
"""
    )
    assert said == "True", said
    hub.run("journalctl --sync || true")
    kept = int(hub.run(f"journalctl --unit={bob.unit} --since=-60s -o cat --no-pager | wc -c"))
    assert kept < 2_000_000, kept
    assert "kept-4711" in hub.run("journalctl -t coursehub-attack -n 3 -o cat --no-pager")


def test_words_in_roots_terminal(bob: Person, hub: Hub) -> None:
    """Tries: to write into root's terminals by a line for which journald does that: one that begins with <0>.

    Stopped by: such a line is like any other (SyslogLevelPrefix), and journald writes into no terminal (ForwardToWall).
    """
    said = bob.python(JOURNAL + """journal.sendall(b"<0>emergency-4712\\n"); print("sent")""")
    assert said == "sent", said
    hub.run("journalctl --sync || true")
    found = hub.run(f"journalctl --unit={bob.unit} --since=-60s -o json --output-fields=PRIORITY,MESSAGE --no-pager")
    priorities = {one["PRIORITY"] for one in map(json.loads, found.splitlines()) if "4712" in str(one["MESSAGE"])}
    # None at all if the flood before has used up bob's lines.
    assert priorities <= {"6"}, priorities
    assert "ForwardToWall=no" in hub.run("systemd-analyze cat-config systemd/journald.conf | grep -v ^#")
