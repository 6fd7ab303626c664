"""Attacks on the messages that explain why a server ended, and on the repairs before a start."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from shlex import quote

import pytest

from runner.hub.client import HubFailure
from tests.support.attackers import Person
from tests.support.hub import Hub

#: Finds what the server prints to, which its kernels have too: the connection ``journal``.
JOURNAL = """
import os, socket
for name in os.listdir("/proc/self/fd"):
    try:
        journal = socket.socket(fileno=os.dup(int(name)))
        if journal.getpeername() == "/run/systemd/journal/stdout":
            break
    except OSError:
        pass
else:
    raise SystemExit("no connection to the journal")
"""


def test_words_are_put_into_anothers_journal(mallory: Person, alice: Person, hub: Hub) -> None:
    """Tries: to write into the journal as another student's server, so that they or a teacher read it.

    Stopped by: no program of a student's reaches journald, but by what its own server prints (properties.py).
    """
    mark = secrets.token_hex(8)
    said = mallory.python(
        """
import socket
for path, kind in (("socket", socket.SOCK_DGRAM), ("dev-log", socket.SOCK_DGRAM), ("stdout", socket.SOCK_STREAM)):
    try:
        socket.socket(socket.AF_UNIX, kind).connect("/run/systemd/journal/" + path)
        print("OPEN", path)
    except PermissionError:
        print("closed")
"""
    )
    assert said.split() == ["closed"] * 3, said
    # What is left says whose server it is.
    mallory.python(JOURNAL + f"journal.sendall(b'{mark} UNIT={alice.unit}\\n')")
    shown = "journalctl --sync; journalctl --no-pager --output=cat --unit={unit} --since=-5min | grep -c {mark} || true"
    assert hub.run(shown.format(unit=mallory.unit, mark=mark)).strip() == "1"
    assert hub.run(shown.format(unit=alice.unit, mark=mark)).strip() == "0"


def test_home_is_swapped_before_it_is_repaired(mallory: Person, alice: Person) -> None:
    """Tries: to replace one's home by a link to another's, which root would make accessible at the next start.

    Stopped by: the directory of the homes is root's.
    """
    for attempt in (
        f"import os; os.rename({mallory.home!r}, {mallory.home + '.x'!r})",
        f"import os; os.symlink({alice.home!r}, {mallory.home + '.y'!r})",
    ):
        assert "PermissionError" in mallory.python(attempt) or "Read-only" in mallory.python(attempt)


def test_links_lead_a_start_to_anothers_files(mallory: Person, alice: Person, hub: Hub) -> None:
    """Tries: to let a server's start give access to another's directory, by a link in place of one of Jupyter's.

    Stopped by: the repair of directories inside a home runs as its owner.
    """
    mallory.shell(f"mv ~/.config ~/.config.kept 2>/dev/null; ln -sT {alice.home} ~/.config")
    try:
        before = hub.run(f"stat -c '%a %Z' {alice.home}")
        mallory.restart()
        assert hub.run(f"stat -c '%a %Z' {alice.home}") == before
    finally:
        mallory.shell("rm -f ~/.config; mv ~/.config.kept ~/.config 2>/dev/null; true")


#: What a start writes or may read in a home.
_READ = (
    ".coursehub-room",
    ".jupyter/jupyter_config.json",
    ".jupyter/jupyter_server_config.d/x.json",
    ".jupyter/jupyter_server_config.py",
    ".jupyter/labconfig/page_config.json",
    ".jupyter/lab/user-settings/x.json",
    ".local/share/jupyter/class-server-runs",
    ".local/share/jupyter/notebook_secret",
)


def test_pipes_hold_up_a_start(mallory: Person) -> None:
    """Tries: to keep one's turn to start, of which there are few, with pipes in the place of files that a start reads.

    Stopped by: a start waits for no file that a student put there; and a long one gives its turn away (turns.py).
    """
    names = " ".join(_READ)
    mallory.shell("rm -rf ~/kept; mkdir ~/kept; mv ~/.jupyter ~/.local ~/kept; true")
    try:
        made = mallory.shell(f"cd; for one in {names}; do mkdir -p $(dirname $one); mkfifo $one; done")
        assert made.code == 0, made.text
        mallory.stop()
        began = time.monotonic()
        mallory.client.start_server()
        took = time.monotonic() - began
        assert mallory.python("print(6 * 7)") == "42"
    finally:
        mallory.shell("cd; rm -rf .coursehub-room* .jupyter .local; mv kept/.jupyter kept/.local .; rmdir kept; true")
        mallory.restart()
    assert took < 30, took


#: Fills the journal with lines of which journalctl prints five times as much; the last one would steer a terminal.
_FLOOD = r"""
import sys
for number in range(120):
    sys.stdout.buffer.write(b"\xff\x9b" * 1000 + b"\n")
print("\x1b]0;title\x07\x1b[2Jowned", flush=True)
raise SystemExit(1)
"""


@pytest.fixture
def failing(mallory: Person, hub: Hub) -> Iterator[None]:
    """A program of Mallory's floods the journal at each start of her server and then ends the start.

    Root has to join it to the unit: a start runs no code of a student's.
    """
    assert mallory.shell(f"printf '%s' {quote(_FLOOD)} > ~/flood.py").code == 0
    mallory.stop()
    directory = f"/run/systemd/system/{mallory.unit}.d"
    joined = f"[Service]\nExecStartPre=/usr/bin/python3 {mallory.home}/flood.py\n"
    hub.run(f"mkdir -p {directory}; printf '%s' {quote(joined)} > {directory}/flood.conf; systemctl daemon-reload")
    try:
        yield
    finally:
        hub.run(f"rm -rf {directory} {mallory.home}/flood.py; systemctl daemon-reload")


@pytest.mark.usefixtures("failing")
def test_a_flooded_journal_hides_why_a_start_failed(mallory: Person, bob: Person, hub: Hub) -> None:
    """Tries: to have the hub read a flood of one's own for a failed start, so that it never answers, or others wait.

    Stopped by: the hub reads the newest megabyte within five seconds, and shows one plain line of it.
    """
    bob.serve()

    def start() -> tuple[float, str]:
        began = time.monotonic()
        page = mallory.client.get("/hub/spawn")
        if page.status_code != 500:
            with pytest.raises(HubFailure) as failed:
                mallory.client.start_server()
            return time.monotonic() - began, str(failed.value)
        shown = re.search(r'id="why"[^>]*>([^<]*)<', page.content.decode())
        assert shown, page.text
        return time.monotonic() - began, shown[1]

    with ThreadPoolExecutor(max_workers=1) as pool:
        answer = pool.submit(start)
        began = time.monotonic()
        bob.restart()
        others = time.monotonic() - began
        took, said = answer.result()
    print(f"the answer took {took:.1f} s, another's restart {others:.1f} s; said: {said}")
    written = hub.run(f"journalctl --quiet --no-pager -o json -u {mallory.unit} --since=-2min | wc -c")
    assert int(written) > 500_000, f"no flood: {written}"
    assert said.isprintable(), said
    assert re.search(r"The last that it said: .*owned\. Start it again", said), said
    assert len(said) < 600, said
    # A busy host needs this long for a start anyway.
    assert took < 60, took
    assert others < 60, others
