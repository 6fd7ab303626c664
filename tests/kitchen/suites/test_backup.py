"""A backup by the timer's own unit, and a file of a person that comes back."""

from __future__ import annotations

import json

import pytest
from testinfra.host import Host

COMMAND = "/usr/local/sbin/coursehub-backup"


@pytest.fixture(scope="module", autouse=True)
def saved(host: Host) -> None:
    """A person with a file, and one backup of it."""
    host.check_output(
        "id tester >/dev/null 2>&1 || useradd --create-home tester; mkdir -p /mnt/backups; "
        "runuser -u tester -- sh -c 'echo first > ~/lab.txt'"
    )
    host.check_output("systemctl start coursehub-backup.service")


def test_backup_is_made_and_fresh(host: Host) -> None:
    found = json.loads(host.check_output(f"{COMMAND} status"))
    assert found["problem"] is None
    assert found["targets"]["disk"]["files"] > 0


def test_restic_is_new_enough_to_wait_for_a_lock(host: Host) -> None:
    assert "--retry-lock" in host.check_output("restic help")


def test_timers_run(host: Host) -> None:
    for name in ("coursehub-backup.timer", "coursehub-backup-watch.timer"):
        assert host.service(name).is_running
        assert host.service(name).is_enabled


def test_file_comes_back_beside_the_present_one(host: Host) -> None:
    host.check_output("runuser -u tester -- sh -c 'echo second > ~/lab.txt'")
    done = json.loads(host.check_output(f"{COMMAND} restore --user tester --path lab.txt"))
    assert host.file("/home/tester/lab.txt").content_string == "second\n"
    assert host.file(done["to"]).content_string == "first\n"
    assert host.file(done["to"]).user == "tester"
    host.check_output(f"{COMMAND} restore --user tester --path lab.txt --in-place")
    assert host.file("/home/tester/lab.txt").content_string == "first\n"


@pytest.mark.parametrize(
    "path", ["/etc/coursehub-backup", "/var/lib/coursehub-backup", "/var/cache/coursehub-backup", "/mnt/backups/keys"]
)
def test_nobody_else_reads_what_opens_the_backups(path: str, host: Host) -> None:
    assert host.run("runuser -u tester -- ls %s", path).rc != 0
