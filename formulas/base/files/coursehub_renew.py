#!/usr/bin/python3
"""Restart services that still run a program or a library that an upgrade has replaced.

apt starts this after each run of dpkg. It waits until dpkg's lock is free, so that no service starts half-installed.
Students' servers (class.slice) and people's sessions (user.slice) are left alone: their next start has the new files.
"""

from __future__ import annotations

import fcntl
import re
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

LOCK = Path("/var/lib/dpkg/lock-frontend")
#: No release upgrade takes longer. After this time, the next run of dpkg starts this program again.
LOCK_SECONDS = 3600
#: Rounds of restarts: after one round a service may still run replaced files.
ROUNDS = 3
#: Anchored, because people may choose any names for cgroups below their own slice.
UNIT = re.compile(r"^(?:\d+:name=systemd|0:):/system\.slice/([^/]+\.service)$", re.MULTILINE)
#: Where packages put programs and libraries. A deleted temporary file elsewhere is not an upgrade.
REPLACED = re.compile(r"(?:^|\s)(/(?:usr|lib|lib64|bin|sbin)/\S+) \(deleted\)$", re.MULTILINE)
#: A restart would disconnect everything from the bus. The machine's next boot renews these.
NEVER = {"dbus.service", "dbus-broker.service"}


def locked(path: Path) -> bool:
    """Return whether another process holds dpkg's lock. The lock is not taken: an apt that starts now must not fail."""
    try:
        with path.open("rb") as handle:
            wanted = struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0)
            return bool(struct.unpack("hhqqi4x", fcntl.fcntl(handle, fcntl.F_GETLK, wanted))[0] != fcntl.F_UNLCK)
    except FileNotFoundError:
        return False


def unit_of(process: Path) -> str | None:
    """Return the system service that a process (its directory below /proc) belongs to, or None."""
    found = UNIT.search((process / "cgroup").read_text())
    return found.group(1) if found else None


def replaced(process: Path) -> set[str]:
    """Return the files that a process has loaded and that are no longer on the disk."""
    found = set(REPLACED.findall((process / "maps").read_text(errors="replace")))
    return found | set(REPLACED.findall(str((process / "exe").readlink())))


def stale(proc: Path = Path("/proc")) -> dict[str, set[str]]:
    """Return each system service with a process that runs replaced files, and those files."""
    found: dict[str, set[str]] = {}
    for process in proc.glob("[0-9]*"):
        try:
            unit = unit_of(process)
            files = replaced(process) if unit else set()
        except OSError:
            # It ended meanwhile, or is a thread of the kernel.
            continue
        if unit and files:
            found.setdefault(unit, set()).update(files)
    return found


def restartable(units: dict[str, set[str]]) -> Iterator[str]:
    """Yield the services that may be restarted; the hub comes last, because it needs the others."""
    for unit in sorted(units, key=lambda name: (name.startswith("jupyterhub"), name)):
        # An instance serves one person or one connection; the next instance has the new files.
        if unit in NEVER or "@" in unit:
            continue
        said = subprocess.run(
            ["systemctl", "show", "-p", "Type", "-p", "Transient", unit], capture_output=True, text=True, check=False
        ).stdout.split()
        # A oneshot service ends by itself and is not started again; the upgrade itself is one.
        if "Type=oneshot" not in said and "Transient=no" in said:
            yield unit


def restart(unit: str) -> bool:
    """Restart a service. One that can reload is reloaded first: if that fails, it might not start again and stays."""
    reloads = "CanReload=yes" in systemctl("show", "-p", "CanReload", unit).stdout
    if reloads and systemctl("reload", unit).returncode:
        return False
    return systemctl("try-restart", unit).returncode == 0


def systemctl(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run systemctl and return its output and exit code."""
    return subprocess.run(["systemctl", *arguments], capture_output=True, text=True, check=False)


def main() -> int:
    """Restart what needs it. Return 0 if no restart failed."""
    failed: set[str] = set()
    for _ in range(ROUNDS):
        deadline = time.monotonic() + LOCK_SECONDS
        while locked(LOCK) and time.monotonic() < deadline:
            time.sleep(1)
        found = stale()
        wanted = [unit for unit in restartable(found) if unit not in failed]
        if not wanted:
            break
        for unit in wanted:
            done = restart(unit)
            why = ", ".join(sorted(Path(name).name for name in found[unit])[:4])
            print(f"{unit} {'restarted' if done else 'could not be restarted'}: it still ran {why}", flush=True)
            failed |= set() if done else {unit}
    for unit in sorted(set(stale()) - failed):
        print(f"{unit} still runs replaced files; the next boot renews it", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
