"""A server is deleted; a new one gets everything back from the last backup, which ``down`` made."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import odd_files
from tests.support.attackers import Person
from tests.support.rebuilt import CHOSEN, COURSE, EAGER, LEAVER, ODD, TREES, Rebuilt

pytestmark = [pytest.mark.machine, pytest.mark.long, pytest.mark.timeout(1200)]
Parts = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def restored(rebuilt: Rebuilt) -> Parts:
    """What ``restore --all`` did, by part. One home is in use before it."""
    rebuilt.hub.run(f"runuser -u {EAGER} -- sh -c 'echo new > ~/work.txt'")
    done = rebuilt.hub.sandbox.json("restore", COURSE, "--all")
    return {part["name"]: part for part in done["parts"]}


def test_down_makes_a_last_backup(rebuilt: Rebuilt) -> None:
    assert rebuilt.down["saved"] == f"the last backup of {COURSE} is at this-computer"


def test_all_files_return_equal(rebuilt: Rebuilt, restored: Parts) -> None:
    """Owners, modes, times, links, access lists, sparse files and names of any bytes, under new numbers."""
    assert {part["result"] for part in restored.values()} <= {"restored", "beside", "kept", "skipped"}
    after = odd_files.describe(rebuilt.hub, *TREES)
    differ = {name: (facts, after.get(name)) for name, facts in rebuilt.before.items() if after.get(name) != facts}
    assert dict(list(differ.items())[:3]) == {}
    assert after.keys() == rebuilt.before.keys()
    assert len(after) > 1500
    assert rebuilt.hub.run("ls -A /home /srv/class /srv/class/groups | grep restoring || true") == ""


def test_home_in_use_is_not_replaced(rebuilt: Rebuilt, restored: Parts) -> None:
    assert restored[f"home {EAGER}"]["result"] == "beside"
    said = rebuilt.hub.run(f"cd /home/{EAGER}; cat work.txt 'restored '*/work.txt; stat -c %U 'restored '*")
    assert said.split() == ["new", "old", EAGER]


def test_person_who_left_is_named_and_skipped(rebuilt: Rebuilt, restored: Parts) -> None:
    assert restored[f"home {LEAVER}"]["result"] == "skipped"
    assert rebuilt.hub.run(f"ls -d /home/{LEAVER} 2>/dev/null || true") == ""


def test_log_of_openings_returns(rebuilt: Rebuilt, restored: Parts) -> None:
    assert restored["log of openings"]["result"] == "restored"
    assert "first-server" in rebuilt.hub.run("cat /var/log/coursehub/openings.log")


def test_chosen_password_opens_a_kernel(rebuilt: Rebuilt, restored: Parts) -> None:
    """Then the restore runs again: refused while somebody works; later it replaces nothing."""
    assert restored["database of the hub"]["result"] == "restored"
    student = Person(rebuilt.hub, ODD, CHOSEN)
    assert student.python("print(open('labs/lab.ipynb').read(), 40 + 2)").strip() == "{} 42"
    refused = rebuilt.hub.sandbox.run("restore", COURSE, "--all")
    assert refused.returncode == 1
    assert "one person works on this server now" in refused.stderr

    student.shell("echo later > ~/labs/lab.ipynb")
    student.stop()
    student.forget()
    again = rebuilt.hub.sandbox.json("restore", COURSE, "--all")
    assert {part["why"] for part in again["parts"] if part["name"] == f"home {ODD}"} == {"by an earlier run"}
    assert rebuilt.hub.run(f"cat /home/{ODD}/labs/lab.ipynb").strip() == "later"


def test_no_name_of_a_person_is_in_the_journal(rebuilt: Rebuilt, restored: Parts) -> None:
    del restored
    said = rebuilt.hub.run("journalctl -u coursehub-restore -u coursehub-backup --no-pager -o cat")
    assert "part 1 of" in said
    assert [name for name in (ODD, EAGER, LEAVER) if name in said] == []
