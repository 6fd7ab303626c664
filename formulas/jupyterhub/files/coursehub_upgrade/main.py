"""The command ``coursehub-upgrade``. The teacher's computer calls it; the boot calls ``mend``."""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from coursehub_upgrade import config as configuration
from coursehub_upgrade import debian, guard, phase, trial, version
from coursehub_upgrade.config import Config
from coursehub_upgrade.programs import UpgradeError


def main(argv: list[str] | None = None) -> int:
    """Run one command, and print a JSON document. Returns 1 if it failed; the document then has ``error``."""
    parser = argparse.ArgumentParser(prog="coursehub-upgrade", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("look")
    tried = commands.add_parser("try")
    tried.add_argument("--host", required=True)
    tried.add_argument("--environments", action="store_true", help="there are new environments to build")
    commands.add_parser("guard")
    commands.add_parser("rollback")
    mended = commands.add_parser("mend")
    mended.add_argument("--boot", action="store_true")
    upgrades = commands.add_parser("debian")
    upgrades.add_argument("--install", action="store_true")
    asked = parser.parse_args(argv)
    config = configuration.read()
    try:
        document = _do(config, asked)
    except (UpgradeError, OSError, sqlite3.Error, LookupError, ValueError, subprocess.SubprocessError) as error:
        document = {"error": " ".join(str(error).split())}
    print(json.dumps(document), flush=True)
    return 1 if "error" in document else 0


def _do(config: Config, asked: argparse.Namespace) -> dict[str, Any]:
    match asked.command:
        case "look":
            return look(config)
        case "debian":
            return debian.install() if asked.install else debian.look()
    with _alone(config):
        match asked.command:
            case "try":
                return _try(config, asked)
            case "guard":
                return guard.guard(config, sys.stdin, sys.stdout, {})
            case "rollback":
                guard.wait_for_states(config)
                return version.put_back(config, "the teacher asked for it")
            case _:
                # systemd sets this for what a unit runs at its end.
                return guard.mend(config, booting=asked.boot, unit_ended="SERVICE_RESULT" in os.environ)


def look(config: Config) -> dict[str, Any]:
    """What serves, what is under way, and what could be put back."""
    name, facts = phase.read(config.place)
    went_back = config.went_back
    return {
        "phase": name,
        **facts,
        "serves": version.names(config),
        "no_way_back": version.missing(config),
        "saved": version.saved_facts(config),
        **({"went_back": json.loads(went_back.read_text())} if went_back.exists() else {}),
    }


def _try(config: Config, asked: argparse.Namespace) -> dict[str, Any]:
    trial.clear(config)
    trial.need_room(config, new_environments=asked.environments)
    trial.begin(config)
    try:
        _say("building the new version beside the old one")
        said = trial.states(config)
        if not _all_true(said):
            return {"states": said}
        # Nothing points at them yet. If the trial fails, the next one need not build them again.
        moved = trial.move_environments(config)
        return {**trial.trial(config, asked.host, _say), "environments": moved}
    finally:
        trial.clear(config)


def _all_true(said: str) -> bool:
    """Whether Salt reported that every state worked; the runner finds out what did not."""
    try:
        states = json.loads(said)["local"]
        return bool(states) and all(one["result"] for one in states.values())
    except (ValueError, KeyError, TypeError, AttributeError):
        return False


def _say(line: str) -> None:
    print(f"now {line}", flush=True)


@contextlib.contextmanager
def _alone(config: Config) -> Iterator[None]:
    """One command at a time; the others wait, because each ends by itself."""
    config.place.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (config.place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
