"""Who works on this server, and how their servers are ended, before all of it is restored."""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path

from coursehub_backup.config import Config
from coursehub_backup.restoring import RestoreError, Version

#: Seconds that servers may take to end: systemd kills what is left of one after 90.
STOPPING = 180
#: How often servers are ended: one that was just being started may come after the first look.
ROUNDS = 3
_WORKING, _ENDING = "active,activating,reloading", "deactivating"


def servers(config: Config, *, ending: bool = False) -> list[str]:
    """The units in which people work now; with ``ending`` also those that end. Raises subprocess.SubprocessError."""
    states = f"{_WORKING},{_ENDING}" if ending else _WORKING
    shown = subprocess.run(
        ["systemctl", "list-units", "--plain", "--no-legend", f"--state={states}", config.whole.servers],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    ours = {config.whole.servers.replace("*", account) for account in config.whole.except_for}
    return [line.split()[0] for line in shown.splitlines() if line.split()[0] not in ours]


def need_nobody(config: Config, version: Version) -> None:
    """Raise RestoreError, with what to do, if somebody works on this server."""
    if found := servers(config):
        who = "one person works" if len(found) == 1 else f"{len(found)} people work"
        raise RestoreError(
            f"{who} on this server now, and restoring everything ends their servers; run this again when "
            "nobody works or with --stop-servers, or restore what somebody misses with --user ACCOUNT --path . "
            f"{version.options}"
        )


def end_servers(config: Config) -> None:
    """End everybody's server. Only while the hub is stopped, which alone starts them. Raises RestoreError."""
    for _ in range(ROUNDS):
        found = servers(config, ending=True)
        if not found:
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(["systemctl", "stop", *found], capture_output=True, check=False, timeout=STOPPING)
    if found := servers(config, ending=True):
        whose = "the server of one person does" if len(found) == 1 else f"the servers of {len(found)} people do"
        raise RestoreError(f"{whose} not end; restart this machine and run this again")


def has_processes(uid: int) -> bool:
    """Whether any program runs with this number."""
    for path in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(OSError):
            # Not the owner of the directory: a process that hides its memory belongs to root there.
            lines = path.read_text(errors="replace").splitlines()
            line = next((line for line in lines if line.startswith("Uid:")), "")
            if str(uid) in line.split()[1:]:
                return True
    return False
