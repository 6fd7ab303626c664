"""A student blocks root's own work: any user who may open a file, even only to read it, may hold its lock (flock)."""

from __future__ import annotations

from tests.support.attackers import Person
from tests.support.hub import Hub


def test_locks_of_roots_jobs(mallory: Person, hub: Hub) -> None:
    """Tries: to hold the lock of one of root's jobs, so that certificates expire and security updates never come.

    Stopped by: only root can open these files.
    """
    assert hub.run("ls /var/lib/apt/daily_lock /run/coursehub-cert.lock")
    # Not every name with these letters: "hwclock" and "faillock.conf" are programs and configurations.
    said = mallory.python(r"""
import fcntl, os, re
tried = 0
for directory in ("/run", "/var/lib", "/var/cache", "/var/spool", "/etc", "/srv"):
    for where, _, names in os.walk(directory):
        for path in (os.path.join(where, name) for name in names if re.search("(?<![a-z])lock", name, re.I)):
            tried += 1
            try:
                handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                print("HELD", path)
            except OSError:
                pass
print(tried > 4 or tried)
""")
    assert said == "True", said
