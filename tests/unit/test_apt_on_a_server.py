"""Debian 12's own apt while another program holds both of its locks, as a provider's agents do at a first boot."""

from __future__ import annotations

import json
import shutil
import time

import pytest

from runner.servers.access import Access
from tests.support.root import need_root
from tests.support.school import (
    REPO,
    Coursehub,
    School,
    coursehub,  # noqa: F401
    school,  # noqa: F401
    up,  # noqa: F401
)

need_root()
pytestmark = [pytest.mark.unit, pytest.mark.timeout(300)]

SECONDS = 20
HOLD = """
nohup python3 -c '
import fcntl, time
held = [open(path, "a") for path in ("/var/lib/apt/lists/lock", "/var/lib/dpkg/lock-frontend")]
for one in held:
    fcntl.lockf(one, fcntl.LOCK_EX)
open("/run/held", "w").close()
time.sleep(%d)
' >/dev/null 2>&1 &
while [ ! -e /run/held ]; do sleep 0.1; done
"""
#: A mirror on the server itself, which has no way to the internet here, with one package.
MIRROR = """
set -eu
mkdir -p /srv/mirror/hello/DEBIAN && cd /srv/mirror
cat > hello/DEBIAN/control <<'CONTROL'
Package: hello
Version: 1
Architecture: all
Maintainer: a test
Description: of a test
CONTROL
dpkg-deb --build hello hello.deb >/dev/null
{ cat hello/DEBIAN/control; echo Filename: ./hello.deb; echo "Size: $(stat -c %s hello.deb)"
  echo "SHA256: $(sha256sum hello.deb | cut -d' ' -f1)"; } > Packages
rm -f /etc/apt/sources.list.d/*
echo 'deb [trusted=yes] file:/srv/mirror ./' > /etc/apt/sources.list
"""
#: The beginning of the formula base, and a package.
STATES = """
include:
  - base.apt

hello:
  pkg.installed:
    - require:
      - apt_lists: base-apt-lists
"""


def test_both_locks_of_apt_are_waited_for(up: School, coursehub: Coursehub) -> None:
    """apt 2.6 gives up at once when another program loads package lists, and waits only for dpkg's lock."""
    shutil.copytree(REPO / "salt/_states", up.project.root / "salt/_states")
    access = Access(up.project, "phys")
    access.run(up.ip, MIRROR)
    access.run(up.ip, HOLD % SECONDS)
    began = time.monotonic()
    assert "Could not get lock" in access.run(up.ip, "apt-get update 2>&1 || true")
    assert time.monotonic() - began < SECONDS / 2, "apt itself does not wait"
    up.states(STATES)
    ended = coursehub("apply", "phys", "--json")
    assert ended.code == 0, ended.err
    assert time.monotonic() - began >= SECONDS - 1
    assert access.run(up.ip, "dpkg-query -W -f '${Status}' hello").strip() == "install ok installed"
    assert json.loads(ended.out)["courses"]["phys"]["failed"] == 0
