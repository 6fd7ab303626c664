"""The command line of coursehub-cert.

`run` orders the certificate if it is needed; `plan` says what `run` would do. Both print one JSON document (Outcome).
`give` prints what the next server needs to continue with this certificate, unless its fingerprint is `--known`.
Certbot calls `open` and `close` around an order by DNS, and `deployed` after a renewal by its own timer. Exit codes:
0: nothing more can be done now; 1: a certificate was needed and was not issued, or a hook failed; 2: the configuration
is wrong.

Names that do not point here are left out, because the CA would refuse all names for one of them. The CA is asked only
if the certificate on disk requires it, and rarely after a failure: Let's Encrypt allows five failed validations of a
name an hour (https://letsencrypt.org/docs/rate-limits/).
"""

from __future__ import annotations

import argparse
import dataclasses
import fcntl
import json
import os
import sys

from coursehub_cert import carrying, doors, places, serving
from coursehub_cert.config import Config
from coursehub_cert.running import Outcome, run

#: One order at a time.
LOCK = "/run/coursehub-cert.lock"


def main(argv: list[str] | None = None) -> int:
    """Run the verb of the command line; return the exit code."""
    parser = argparse.ArgumentParser(description="Keep one certificate for the names of this server.")
    parser.add_argument("verb", choices=["run", "plan", "deployed", "open", "close", "give"])
    parser.add_argument("--known", default="", help="fingerprint of a certificate that need not be given")
    parser.add_argument("--timer", action="store_true", help="keep the waiting time between tries; do not wait for DNS")
    arguments = parser.parse_args(argv)
    try:
        config = Config.read(places.CONFIG)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    if arguments.verb == "give":
        print(carrying.give(config, arguments.known), end="")
        return 0
    if arguments.verb in ("deployed", "open", "close"):
        # Our own `run`, which holds the lock, may have called certbot.
        trouble = _hook(config, arguments.verb)
        print(trouble, end="\n" if trouble else "", file=sys.stderr)
        return 1 if trouble else 0
    if not config.names:
        print(json.dumps(dataclasses.asdict(Outcome(False, False, True, [], {}, "", [], "no names"))))
        return 0
    # A user who can open a file can hold its lock. Only root may open it; otherwise a student could stop every renewal.
    with os.fdopen(os.open(LOCK, os.O_CREAT | os.O_WRONLY, 0o600), "w") as lock:
        os.fchmod(lock.fileno(), 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        result = run(config, timer=arguments.timer, plan=arguments.verb == "plan")
    print(json.dumps(dataclasses.asdict(result)))
    for line in result.warnings:
        print(f"WARNING {line}", file=sys.stderr)
    return 0 if result.ok or not result.wanted else 1


def _hook(config: Config, verb: str) -> str:
    """Run one of certbot's hooks; return an empty string, or what went wrong."""
    if verb == "deployed":
        return "; ".join(serving.serve(config, changed=True)[1])
    return (doors.open_dns if verb == "open" else doors.close_dns)(config)
