"""Attacks on the messages that explain why a server ended, and on the repairs before a start."""

from __future__ import annotations

import secrets

from tests.support.attackers import Person
from tests.support.hub import Hub


def test_words_are_put_into_anothers_journal(mallory: Person, alice: Person, hub: Hub) -> None:
    """Tries: to write into the journal as another student's server, so that they or a teacher read it.

    Stopped by: journald itself records whose process it was; hub and `coursehub logs` use only that.
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
