"""Sends an alert when backups fail or are late, to the course's own command or to a webhook."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.request
from collections.abc import Callable
from typing import Any

from coursehub_backup import state
from coursehub_backup.config import Config

#: Seconds after which the same problem is reported again.
AGAIN = 24 * 3600
#: The course file's command runs without rights.
NOBODY: dict[str, Any] = {"user": "nobody", "group": "nogroup", "extra_groups": [], "env": {"PATH": "/usr/bin:/bin"}}


def watch(config: Config, send: Callable[[Config, dict[str, Any]], None] | None = None) -> str | None:
    """Check the backups and return the problem, if any. Reports a problem once a day, and its end once."""
    now = time.time()
    problem: str | None = state.document(config, now)["problem"]
    record = state.read()
    reported = record.get("reported", {})
    kind = problem.partition(":")[0] if problem else None
    if kind and (reported.get("kind") != kind or not 0 <= now - reported.get("at", 0) < AGAIN):
        record["reported"] = {"kind": kind, "at": now}
        _tell(config, {"kind": "backup", "ok": False, "line": problem}, send or deliver)
        state.write(record)
    elif not kind and reported:
        record.pop("reported")
        _tell(config, {"kind": "backup", "ok": True, "line": "backups are well again"}, send or deliver)
        state.write(record)
    return problem


def _tell(config: Config, message: dict[str, Any], send: Callable[[Config, dict[str, Any]], None]) -> None:
    try:
        send(config, message)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        # Not the error's text: the address can contain a secret.
        print(f"the alert could not be delivered ({type(error).__name__})", flush=True)


def deliver(config: Config, message: dict[str, Any]) -> None:
    """Call the webhook and the command. Raises OSError and what subprocess raises."""
    if config.alert_webhook:
        request = urllib.request.Request(  # noqa: S310  # the course file takes https:// alone
            config.alert_webhook,
            data=json.dumps({**message, "text": message["line"]}).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30):  # noqa: S310
            pass
    if config.alert_command:
        subprocess.run(
            ["/bin/sh", "-c", config.alert_command],
            input=json.dumps(message),
            text=True,
            check=True,
            timeout=60,
            cwd="/",
            **NOBODY,
        )
