"""A data set for its group: readable, stored once, and unchangeable."""

from __future__ import annotations

from testinfra.host import Host

FILE = "/srv/class/data/numbers.txt"


def test_its_readers_read_it(host: Host) -> None:
    assert "numpy==" in host.check_output("runuser -u nobody -g games -- cat %s", FILE)


def test_nobody_else_does(host: Host) -> None:
    assert host.run("runuser -u nobody -- cat %s", FILE).rc != 0


def test_readers_cannot_change_it(host: Host) -> None:
    assert host.run("runuser -u nobody -g games -- sh -c 'echo 1 >> %s'", FILE).rc != 0
    assert host.run("runuser -u nobody -g games -- touch /srv/class/data/new").rc != 0
    assert host.check_output("stat -c '%%U %%a' %s", FILE) == "root 644"


def test_nothing_of_repositories_is_there_without_one(host: Host) -> None:
    assert not host.file("/etc/gitconfig").exists
    assert not host.file("/etc/systemd/system/coursehub-material.timer").exists
