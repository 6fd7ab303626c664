"""A student keeps the backup of the whole class from ending, or turns a restore against somebody else."""

from __future__ import annotations

import json
import time

import pytest

from tests.support.attackers import Person
from tests.support.hub import Hub

# Snapshots with what is written here stay in the course's backup.
pytestmark = pytest.mark.disturbs

STATUS = "coursehub-backup status"


@pytest.fixture(autouse=True)
def targets(hub: Hub) -> None:
    """Only a course with a target has backups."""
    if hub.run(f"command -v coursehub-backup > /dev/null && {STATUS} || echo '{{}}'").count('"targets": {"') != 1:
        pytest.skip("this course has no backup")


def back_up(hub: Hub) -> dict[str, object]:
    """Make a backup now; return what is known of it."""
    hub.run("systemctl start coursehub-backup.service", seconds=300)
    found = json.loads(hub.run(STATUS))
    assert found["problem"] is None, found
    (known, *_) = found["targets"].values()
    return dict(known)


def test_a_backup_never_ends(mallory: Person, alice: Person, hub: Hub) -> None:
    """Tries: to keep root busy for hours with files that take no space, so that nobody's work is saved.

    Stopped by: the backup leaves out a home with too many files or too large holes, and says whose (excess.py).
    """
    alice.shell("date > attack-kept")
    mallory.shell("mkdir -p attack-empty && truncate -s 1G attack-empty/{1..200}")
    try:
        began = time.monotonic()
        known = back_up(hub)
        took = time.monotonic() - began
        print(f"a backup with 200 GB of holes took {took:.1f} s")
        assert known["left_out"] == [mallory.account]
        assert took < 120, took
        said = json.loads(hub.run(f"coursehub-backup list --user {alice.account} --path attack-kept"))
        assert said["versions"], said
    finally:
        alice.shell("rm -f attack-kept")
        mallory.shell("rm -rf attack-empty")
    assert back_up(hub)["left_out"] == []


def test_a_restore_follows_a_link(mallory: Person, alice: Person, hub: Hub) -> None:
    """Tries: to have one's file restored into another's home, through a link in the place of a folder.

    Stopped by: root writes into no home; the file is copied with its owner's rights (restoring.py).
    """
    mallory.shell("mkdir -p attack-labs && echo mine > attack-labs/attack-lab")
    back_up(hub)
    try:
        for link in (alice.home, "/root", "/etc/cron.d"):
            mallory.shell(f"rm -rf attack-labs; ln -s {link} attack-labs")
            for how in ("", " --in-place"):
                restore = f"coursehub-backup restore --user {mallory.account} --path attack-labs/attack-lab{how}"
                said = hub.run(f"{restore} 2>&1 || true")
                assert "writing into" in said and "failed" in said, said
        for path in (f"../{alice.account}/x", "/etc/shadow", "attack-labs/../../root/x"):
            said = hub.run(f"coursehub-backup restore --user {mallory.account} --path {path} 2>&1 || true")
            assert "is not in the home of" in said, said
    finally:
        mallory.shell("rm -rf attack-labs")
    assert hub.run(f"find {alice.home} /root /etc/cron.d -name 'attack-lab*'") == ""


def test_a_restore_waits_for_a_stopped_program(mallory: Person, hub: Hub) -> None:
    """Tries: to keep root's restore waiting for ever, by stopping the program that writes with one's own rights.

    Stopped by: such a program is killed after ten seconds, and the restore says why (bounded.py).
    """
    mallory.shell("mkdir -p attack-stop && head -c 100000000 /dev/urandom > attack-stop/big")
    back_up(hub)
    stop = "for n in $(seq 3000); do pkill -STOP -x tar && exit; sleep 0.01; done"
    restore = f"coursehub-backup restore --user {mallory.account} --path attack-stop"
    try:
        for _ in range(4):
            # The program is there for a moment only, so the first try may miss it.
            mallory.shell(f"({stop}) > /dev/null 2>&1 &")
            began = time.monotonic()
            said = hub.run(f"{restore} 2>&1 || true", seconds=120)
            took = time.monotonic() - began
            if "somebody stopped the program" in said:
                break
        assert "somebody stopped the program" in said, said
        assert 10 < took < 90, took
        assert hub.run(f"pgrep -u {mallory.account} -x tar || true") == "", "the stopped program is gone"
    finally:
        mallory.shell("pkill -CONT -x tar; rm -rf attack-stop*")


def test_a_restore_is_taken_over(mallory: Person, hub: Hub) -> None:
    """Tries: to get a program outside one's server's limits, by taking over the one that restores with one's rights.

    Stopped by: it runs among the class's servers with limits of its own, and what it started ends with it (bounded.py).
    """
    mallory.shell("mkdir -p attack-over && head -c 200000000 /dev/urandom > attack-over/big")
    back_up(hub)
    look = "for n in $(seq 3000); do p=$(pgrep -x tar) && cat /proc/$p/cgroup > attack-seen && exit; sleep 0.01; done"
    try:
        for _ in range(4):
            # The program is there for a moment only, so the first try may miss it.
            mallory.shell(f"rm -f attack-seen; ({look}) > /dev/null 2>&1 &")
            hub.run(f"coursehub-backup restore --user {mallory.account} --path attack-over", seconds=120)
            seen = mallory.shell("cat attack-seen").text
            if "coursehub-as-person" in seen:
                break
        assert "class.slice/coursehub-as-person-" in seen, seen
        assert "session" not in seen.replace("systemd-session", ""), seen
        assert hub.run("systemctl list-units --all --plain --no-legend 'coursehub-as-person-*'").strip() == ""
    finally:
        mallory.shell("rm -rf attack-over* attack-seen")
