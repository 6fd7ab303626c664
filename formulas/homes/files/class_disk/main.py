"""The command line of coursehub-disk.

`make` makes the class's disk once and mounts it. `grow` enlarges it after the server's own disk became bigger. `limits`
sets everybody's limit, `history` takes earlier versions, `look` writes who uses how much. Exit code 0: done; 1: failed;
3: this server has no such disk, and standard output says why.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import sys

from class_disk import history, limits, making, reporting
from class_disk.config import REPORTS, Config

#: In REPORTS; only one command runs at a time.
LOCK = "lock"
NO_DISK = 3


def main(argv: list[str] | None = None) -> int:
    """Run one command and return the exit code."""
    parser = argparse.ArgumentParser(description="The class's own disk, with limits and earlier versions.")
    parser.add_argument("verb", choices=["make", "grow", "limits", "history", "look"])
    verb = parser.parse_args(argv).verb
    REPORTS.mkdir(mode=0o711, exist_ok=True)
    with os.fdopen(os.open(REPORTS / LOCK, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            print(_do(verb, Config.read()))
        except making.NoDiskError as problem:
            print(problem)
            return NO_DISK
        except (OSError, ValueError) as problem:
            print(f"coursehub-disk {verb}: {problem}", file=sys.stderr)
            return 1
    return 0


def _do(verb: str, config: Config) -> str:
    if verb == "make":
        try:
            return making.make(config)
        except making.NoDiskError as problem:
            # Each apply would try again otherwise. After the file is deleted, the next apply tries again.
            making.refusal(config).write_text(f"{problem}\n", encoding="utf-8")
            raise
    if not config.top.is_mount():
        raise making.NoDiskError("this server has no separate disk for the class")
    match verb:
        case "grow":
            return f"{making.grow(config) >> 20} MiB added"
        case "limits":
            return f"{len(limits.set_all(config))} limits set"
        case "history":
            # Only the number, because students' names must not be in the journal.
            return f"{len(history.take(config))} versions kept"
        case _:
            reporting.look(config, REPORTS)
            return "looked"
