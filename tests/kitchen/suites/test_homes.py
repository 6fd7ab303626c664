"""The class's own disk: what one directory may have, and what there was in it before."""

from __future__ import annotations

import pytest
from testinfra.host import Host

HOME = "/home/kdisk"


@pytest.fixture(scope="module")
def home(host: Host) -> str:
    host.check_output("useradd --create-home --btrfs-subvolume-home kdisk; coursehub-disk limits")
    return HOME


def test_homes_and_what_is_shared_lie_on_the_disk(host: Host) -> None:
    for path in ("/srv/disk", "/home", "/srv/class"):
        assert host.check_output("stat -f -c %%T %s", path) == "btrfs"
    assert host.file("/srv/disk").mode == 0o700


def test_one_home_has_an_end(host: Host, home: str) -> None:
    said = host.run("runuser -u kdisk -- fallocate -l 1G %s/big", home)
    assert "Disk quota exceeded" in said.stderr
    host.check_output("runuser -u kdisk -- fallocate -l 100M %s/big && rm %s/big", home, home)


def test_a_deleted_file_is_in_the_version_before(host: Host, home: str) -> None:
    host.check_output("echo work > %s/lab && coursehub-disk history && rm %s/lab", home, home)
    assert host.check_output("cat /srv/disk/history/home/kdisk/*/lab") == "work"
