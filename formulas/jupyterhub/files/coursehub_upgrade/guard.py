"""Watches over the switch to a new version: whatever happens meanwhile, the hub serves the new version or the old one.

The runner on the teacher's computer changes the hub (it runs the states), and tells this program every few seconds that
it is still there. If it is silent, if it says "back", or if the connection ends before it said "keep", the old version
is put back. The program runs as a unit of its own, so it survives the death of the SSH server. If it is killed itself,
its unit calls ``mend``; after a power cut, the boot does.
"""

from __future__ import annotations

import json
import os
import selectors
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from coursehub_upgrade import phase, trial, version
from coursehub_upgrade.config import Config

#: Seconds without a word after which the runner counts as gone.
SILENCE = 60.0
#: Seconds that states may go on after that. They are never killed before: they may be in the middle of dpkg.
STATES = 1800.0
KEEP, GO_BACK, ALIVE = "keep", "back", "alive"


def guard(config: Config, words: TextIO, answers: TextIO, facts: dict[str, Any]) -> dict[str, Any]:
    """Save the version that serves, and let the runner switch. Returns what serves in the end."""
    began = version.names(config)
    version.settle(config)
    version.save(config, config.switch)
    phase.write(config.place, phase.SWITCHING, **facts, before=began)
    with trial.allowed(config):
        try:
            print(json.dumps({"saved": began}), file=answers, flush=True)
            reason = _verdict(words)
        except OSError:
            reason = "the connection broke"
        if reason is not None:
            wait_for_states(config)
    if reason is None:
        config.went_back.unlink(missing_ok=True)
        version.done(config)
        version.settle(config)
        return {"kept": True, "serves": version.names(config)}
    began_at = time.monotonic()
    done = version.put_back(config, reason)
    return {"kept": False, **done, "seconds": round(time.monotonic() - began_at, 1)}


def _verdict(words: TextIO) -> str | None:
    """None if the new version is to stay; otherwise why it goes."""
    for line in _lines(words):
        word, _, rest = line.partition(" ")
        if word == KEEP:
            return None
        if word == GO_BACK:
            return rest or "the new version does not work"
    return "the computer that ran the upgrade is gone"


def _lines(words: TextIO) -> Iterator[str]:
    """Lines as they come; ends at the end of the input, or after too long a silence."""
    left = ""
    with selectors.DefaultSelector() as selector:
        selector.register(words, selectors.EVENT_READ)
        while selector.select(SILENCE):
            try:
                read = os.read(words.fileno(), 4096).decode(errors="replace")
            except OSError:
                return
            if not read:
                return
            *complete, left = (left + read).split("\n")
            yield from complete


def wait_for_states(config: Config, proc: Path = Path("/proc")) -> None:
    """Wait until no states run on this server: what they write would be half of each version."""
    deadline = time.monotonic() + STATES
    mark = f"{config.salt}/salt-call".encode()
    while time.monotonic() < deadline and any(mark in _command(path) for path in proc.glob("[0-9]*")):
        time.sleep(0.5)


def _command(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""


def mend(config: Config, *, booting: bool = False, unit_ended: bool = False) -> dict[str, Any]:
    """Finish what an interrupted upgrade left: put the version before back, or keep the new one; remove a trial.

    With ``unit_ended`` a failed way back, after which the hub serves, is not tried again.
    """
    name, facts = phase.read(config.place)
    document: dict[str, Any] = {"mended": name}
    if name == phase.SWITCHING:
        wait_for_states(config)
        document |= version.put_back(config, "the upgrade was cut off", booting=booting)
    elif name == phase.BACK and not (unit_ended and facts.get("hub_serves")):
        document |= version.put_back(config, facts.get("reason", "it was asked for"), booting=booting)
    elif name != phase.BACK:
        version.settle(config)
    trial.clear(config)
    return document
