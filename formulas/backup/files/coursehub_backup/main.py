"""The command ``coursehub-backup``. The timers and the teacher's computer call it."""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import subprocess
import sys
import time
from typing import Any

from coursehub_backup import choosing, comparing, everything, installing, report, restoring, saving, state, watching
from coursehub_backup import config as configuration
from coursehub_backup.restic import Restic, ResticError

#: What ``watch`` returns if something is wrong with the backups. The watch itself has not failed then.
LATE = 3


def main(argv: list[str] | None = None) -> int:
    """Run one command. Returns 1 if it failed, after one line on standard error."""
    arguments = _arguments(argv)
    os.umask(0o077)
    try:
        config = configuration.load()
        return _run(config, arguments)
    except (ResticError, restoring.RestoreError, OSError, sqlite3.Error, subprocess.SubprocessError) as error:
        print(error, file=sys.stderr)
        return 1


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="coursehub-backup")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("install")
    verbs.add_parser("run")
    verbs.add_parser("watch")
    verbs.add_parser("status").add_argument("--line", action="store_true")
    check = verbs.add_parser("check")
    check.add_argument("--target")
    verbs.add_parser("progress")
    verbs.add_parser("compare")
    verbs.add_parser("servers").add_argument("--target")
    for name in ("restore-everything", "restore-now"):
        whole = verbs.add_parser(name)
        whole.add_argument("--target")
        whole.add_argument("--at")
        whole.add_argument("--stop-servers", action="store_true")
    for name in ("list", "restore"):
        one = verbs.add_parser(name)
        one.add_argument("--target")
        one.add_argument("--user", required=True)
        one.add_argument("--path", required=True)
        if name == "restore":
            one.add_argument("--at")
            one.add_argument("--in-place", action="store_true")
    return parser.parse_args(argv)


def _run(config: configuration.Config, arguments: argparse.Namespace) -> int:
    match arguments.verb:
        case "install":
            installing.ensure(config)
        case "run":
            return 0 if saving.run(config) else 1
        case "watch":
            return LATE if watching.watch(config) else 0
        case "status":
            found = state.document(config, time.time())
            print(state.line(found) if arguments.line else json.dumps(found))
        case "compare":
            print(json.dumps(comparing.compare(config)))
        case "progress":
            print(json.dumps(everything.progress()))
        case "restore-everything":
            choosing.check(config, arguments.target, arguments.at)
            words = [
                (f"--{key}", value) for key, value in (("target", arguments.target), ("at", arguments.at)) if value
            ]
            options = [word for pair in words for word in pair]
            everything.start(config, [*options, *["--stop-servers"] * arguments.stop_servers])
            print(json.dumps(everything.progress()))
        case "restore-now":
            return _restore_now(config, arguments)
        case "servers":
            installing.ensure(config)
            restics = _restics(config, arguments.target)
            print(json.dumps({"snapshots": choosing.listing(choosing.versions(restics), config.server)}))
        case _:
            installing.ensure(config)
            print(json.dumps(_bring(config, arguments)))
    return 0


def _restore_now(config: configuration.Config, arguments: argparse.Namespace) -> int:
    """Restore everything. An error goes into the report."""
    try:
        restics = [Restic(one, gentle=False) for one in choosing.targets(config, arguments.target)]
        installing.ensure(config)
        return 0 if everything.run(config, restics, arguments.at, stop_servers=arguments.stop_servers) else 1
    except report.FAILURES as error:
        report.fail(error)
        # Its text may have a person's name, which must not be in the journal.
        print(f"the restore failed: {type(error).__name__}", file=sys.stderr)
        return 1


def _bring(config: configuration.Config, arguments: argparse.Namespace) -> dict[str, Any]:
    """Run a command that reads from the targets; returns its result."""
    match arguments.verb:
        case "check":
            restic = Restic(choosing.best(config, arguments.target))
            restic.run("check", "--read-data")
            return {"target": restic.target.name, "ok": True}
        case "list":
            whole = restoring.inside_home(config, arguments.user, arguments.path)
            found = choosing.listing_of(_restics(config, arguments.target), whole)
            return {"versions": [{"at": one.at.isoformat(), "size": one.size} for one in found]}
        case _:
            # Before all targets are asked, which may take long.
            restoring.inside_home(config, arguments.user, arguments.path)
            target = choosing.best(config, arguments.target)
            # On a new server, and for a time before its first backup, each target may be the one that has it.
            known = arguments.at is None and target in choosing.good(config)
            restics = [Restic(target)] if known else _restics(config, arguments.target)
            version = restoring.at(choosing.versions(restics), arguments.at)
            return restoring.restore(
                *(config, next(one for one in restics if one.target.name == version.target), version),
                account=arguments.user,
                path=arguments.path,
                in_place=arguments.in_place,
            )


def _restics(config: configuration.Config, name: str | None) -> list[Restic]:
    return [Restic(target) for target in choosing.targets(config, name)]


if __name__ == "__main__":
    sys.exit(main())
