#!/usr/bin/python3 -I
"""End everything that an account runs on this machine: its processes, and what would start some later. Files stay.

    coursehub-leave [--left FILE] [--unit UNIT]... ACCOUNT

First a new mark is written to FILE: a program that keeps sessions of the account ends those that began before it.
Nothing here needs the locks of the account files, and nothing waits for a process of the account.
"""

import argparse
import json
import os
import pwd
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

FIRST_UID = 1000
CRONTABS = Path("/var/spool/cron/crontabs")
AT_JOBS = (Path("/var/spool/cron/atjobs"), Path("/var/spool/at"))
LINGER = Path("/var/lib/systemd/linger")
# Seconds within which killed processes must be gone.
SECONDS = 20


def write_mark(path: Path, account: str) -> None:
    """Give an account a new mark; the others keep theirs."""
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    try:
        marks = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        marks = {}
    marks[account] = secrets.token_hex(8)
    staged = path.with_suffix(".new")
    staged.touch(mode=0o600)
    staged.write_text(json.dumps(marks, indent=0, sort_keys=True), encoding="utf-8")
    staged.replace(path)


def processes(uid: int, proc: Path = Path("/proc")) -> Iterator[int]:
    """Yield the processes whose real, effective, saved or file system uid is ``uid``."""
    for entry in proc.glob("[0-9]*"):
        try:
            lines = (entry / "status").read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            continue
        facts = dict(line.split(":", 1) for line in lines if ":" in line)
        # A zombie runs nothing, and only its parent can remove it.
        if str(uid) in facts.get("Uid", "").split() and not facts.get("State", "").strip().startswith("Z"):
            yield int(entry.name)


def end_processes(uid: int, units: list[str]) -> bool:
    """Kill all processes of ``uid``; return whether they are gone. They are stopped first, so that none can fork."""
    for unit in units:
        # Killed, not asked to end: a student must not delay their own removal. systemd itself expands a glob.
        run("systemctl", "kill", "--signal=SIGKILL", unit)
        run("systemctl", "stop", "--no-block", unit)
    run("loginctl", "terminate-user", str(uid))
    deadline = time.monotonic() + SECONDS
    while found := list(processes(uid)):
        for order in (signal.SIGSTOP, signal.SIGKILL):
            for pid in found:
                try:
                    os.kill(pid, order)
                except ProcessLookupError:
                    continue
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    for unit in units:
        run("systemctl", "stop", unit)
    return True


def end_timers(account: str, uid: int) -> None:
    """Remove what would start a process of the account later."""
    (CRONTABS / account).unlink(missing_ok=True)
    (LINGER / account).unlink(missing_ok=True)
    for directory in AT_JOBS:
        for job in directory.glob("*"):
            if job.is_file() and not job.is_symlink() and job.stat().st_uid == uid:
                job.unlink(missing_ok=True)


def run(*argv: str) -> None:
    """Run a program; it may fail because there is nothing to do."""
    subprocess.run(argv, capture_output=True, check=False, stdin=subprocess.DEVNULL)


def main(argv: list[str]) -> int:
    """End everything of one account; return 1, with a line on standard error, if something is left."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--left", type=Path)
    parser.add_argument("--unit", action="append", default=[])
    parser.add_argument("account")
    asked = parser.parse_args(argv)
    uid = pwd.getpwnam(asked.account).pw_uid
    if uid < FIRST_UID:
        print(f"{asked.account} is an account of the system", file=sys.stderr)
        return 1
    if asked.left:
        write_mark(asked.left, asked.account)
    end_timers(asked.account, uid)
    if not end_processes(uid, asked.unit):
        print(f"processes of {asked.account} do not end: {list(processes(uid))}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
