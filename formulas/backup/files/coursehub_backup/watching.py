"""Sends an alert when backups fail or are late, and when the disk is full, to the course's command or to a webhook."""

from __future__ import annotations

import dataclasses
import http.client
import json
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from coursehub_backup import room, state
from coursehub_backup.config import Config

#: Seconds after which the same problem is reported again.
AGAIN = 24 * 3600
#: Seconds after which a report that arrived nowhere is sent again: a webhook that answers late may have it already.
TRY_AGAIN = 1800
#: A disk that was reported has room again only below that many per cent less. Otherwise one that is nearly full would
#: be reported again and again.
SLACK = 3
#: The course file's command runs without rights.
NOBODY: dict[str, Any] = {"user": "nobody", "group": "nogroup", "extra_groups": [], "env": {"PATH": "/usr/bin:/bin"}}
#: Sends one message; returns a line for each way that failed.
Send = Callable[[Config, dict[str, Any]], list[str]]


def watch(config: Config, send: Send | None = None) -> str | None:
    """Look at the disk and at the backups. Returns what is wrong with the backups, if anything.

    Reports a problem once a day, and its end once; again after TRY_AGAIN if the report arrived nowhere, and after a
    boot. The teachers' page gets the problem of the backups as a file.
    """
    send = send or deliver
    # First, and without writing to the disk: it may be full.
    limit = config.full
    if "what" in state.read(_reported(config)).get("disk", {}):
        limit = dataclasses.replace(limit, per_cent=limit.per_cent - SLACK, least=limit.least * 6 // 5)
    full = room.problem((Path("/"), Path("/var"), config.whole.shared), limit)
    _report(config, "disk", (full and full.partition(":")[0], full), "the server's disk has room again", send)
    found = state.document(config, time.time())
    problem: str | None = found["problem"]
    kind = problem.partition(":")[0] if problem else None
    _write(config.problem, f"{kind}; the last good one is {_age(found)}" if kind else None)
    _report(config, "backup", (kind, problem), "backups are well again", send)
    return problem


def _report(config: Config, kind: str, problem: tuple[str | None, str | None], well: str, send: Send) -> None:
    """Send a message if this problem is new, or over, or a day old. ``problem``: what stays of it, and all of it."""
    path = _reported(config)
    record = state.read(path)
    (same, text), now = problem, time.time()
    known = record.get(kind, {})
    new = known.get("what") != same or (same and not 0 <= now - known.get("at", 0) < AGAIN)
    if not new or 0 <= now - known.get("tried", 0) < TRY_AGAIN:
        return
    failures = send(config, {"kind": kind, "ok": not same, "text": text or well})
    for failure in failures:
        print(failure, flush=True)
    # One way is enough; otherwise it would come by that way again and again.
    if len(failures) < max(1, bool(config.alert_webhook) + bool(config.alert_command)):
        record[kind] = {"what": same, "at": now} if same else {}
    else:
        record[kind] = {**known, "tried": now}
    path.parent.mkdir(mode=0o700, exist_ok=True)
    state.write(record, path)


def _reported(config: Config) -> Path:
    """What was reported. Beside the line for the page, in /run: it must be written on a full disk, too."""
    return config.problem.with_name("reported.json")


def _age(found: dict[str, Any]) -> str:
    """The age of the last good backup at the target that has the problem."""
    good = found["targets"][found["problem_at"]].get("ok")
    return f"{state.ago(found['now'] - good)} old" if good else "not there yet"


def _write(path: Path, line: str | None) -> None:
    """Replace a file of one line, which only root can read; None removes it."""
    if line is None:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(mode=0o700, exist_ok=True)
    new = path.with_name(f".{path.name}")
    new.touch(mode=0o600)
    new.write_text(line, encoding="utf-8")
    new.replace(path)


def deliver(config: Config, message: dict[str, Any]) -> list[str]:
    """Call the webhook and the command, each whatever becomes of the other. Returns a line for each that failed."""
    ways: list[tuple[str, str, Callable[[str, bytes], None]]] = [
        ("webhook", config.alert_webhook, _call),
        ("command", config.alert_command, _run),
    ]
    failed = []
    for name, where, way in ways:
        try:
            if where:
                way(where, json.dumps(message).encode())
        except (OSError, ValueError, http.client.HTTPException, subprocess.SubprocessError) as error:
            # Not the error's text: the address can contain a secret.
            failed.append(f"the alert could not be delivered by the {name} ({type(error).__name__})")
    return failed


def _call(address: str, content: bytes) -> None:
    # The course file takes https:// alone.
    request = urllib.request.Request(address, content, {"Content-Type": "application/json"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=30):  # noqa: S310
        pass


def _run(command: str, content: bytes) -> None:
    subprocess.run(
        ["/bin/sh", "-c", command], input=content, check=True, timeout=60, cwd="/", stdout=subprocess.DEVNULL, **NOBODY
    )
