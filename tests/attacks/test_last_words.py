"""What a student could do with the words that tell why a server ended, and with the help that a start gives."""

from __future__ import annotations

import secrets

from tests.support.attackers import Person
from tests.support.hub import Hub


def test_words_are_put_into_anothers_journal(mallory: Person, alice: Person, hub: Hub) -> None:
    """Tries: to write into the journal as another student's server, for her or a teacher to read.

    Stopped by: journald itself notes whose process it was; hub and `coursehub logs` go by that.
    """
    mark = secrets.token_hex(8)
    mallory.python(
        f"""
import socket
fields = ["UNIT", "_SYSTEMD_UNIT", "OBJECT_SYSTEMD_UNIT", "COREDUMP_UNIT"]
line = "MESSAGE={mark}\\nEXIT_STATUS=9\\n" + "".join(f"{{field}}={alice.unit}\\n" for field in fields)
socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(line.encode(), "/run/systemd/journal/socket")
"""
    )
    shown = "journalctl --sync; journalctl --no-pager --output=cat --unit={unit} --since=-5min | grep -c {mark} || true"
    assert hub.run(shown.format(unit=mallory.unit, mark=mark)).strip() == "1"
    assert hub.run(shown.format(unit=alice.unit, mark=mark)).strip() == "0"


def test_home_is_swapped_before_it_is_repaired(mallory: Person, alice: Person) -> None:
    """Tries: to put a link to another's home in the place of the own, which root makes enterable at the next start.

    Stopped by: the directory of the homes is root's.
    """
    for attempt in (
        f"import os; os.rename({mallory.home!r}, {mallory.home + '.x'!r})",
        f"import os; os.symlink({alice.home!r}, {mallory.home + '.y'!r})",
    ):
        assert "PermissionError" in mallory.python(attempt) or "Read-only" in mallory.python(attempt)


def test_links_lead_a_start_to_anothers_files(mallory: Person, alice: Person, hub: Hub) -> None:
    """Tries: to have the start of a server give rights to another's directory, by a link where Jupyter has its own.

    Stopped by: what mends directories inside a home runs as its owner.
    """
    mallory.shell(f"mv ~/.config ~/.config.kept 2>/dev/null; ln -sT {alice.home} ~/.config")
    try:
        before = hub.run(f"stat -c '%a %Z' {alice.home}")
        mallory.restart()
        assert hub.run(f"stat -c '%a %Z' {alice.home}") == before
    finally:
        mallory.shell("rm -f ~/.config; mv ~/.config.kept ~/.config 2>/dev/null; true")
