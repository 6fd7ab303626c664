"""Checks people's disk space, from the usage that the server writes every minute (formula homes)."""

from __future__ import annotations

import json

from runner.agreed import PATHS
from runner.hub.checks import Check

#: Per cent of its limit from which an owner can hardly save, and per cent of the class's disk that must be free.
SPENT, FREE = 95, 10

#: Says why a server has no disk for the class.
_REFUSAL = f"{PATHS['class_disk_place']}/none"
_SUMMARY = f"{PATHS['disk_usage']}/summary.json"
#: Prints one line, or none if the server has not written its usage yet.
LOOK = f"""
if [ -e {_REFUSAL} ]; then echo "room none $(head -n 1 {_REFUSAL})"; fi
if [ -e {_SUMMARY} ]; then echo "room $(tr -d ' \\n' < {_SUMMARY})"; fi
"""


def check(said: list[list[str]]) -> list[Check]:
    """The check for LOOK's output; ``said`` has the words of each line."""
    for words in said:
        if words[:2] == ["room", "none"]:
            why = " ".join(words[2:])
            return [Check("disk space", True, f"nobody has a limit or earlier versions: {why}")]
        if words[:1] == ["room"]:
            return [_space(json.loads(words[1]))]
    return []


def _space(summary: dict[str, object]) -> Check:
    total, free = int(str(summary["total"])), int(str(summary["free"]))
    short = summary["short"] if isinstance(summary["short"], list) else []
    shares = [(one["name"], 100 * one["used"] // one["limit"]) for one in short]
    most = _named(shares)
    if free * 100 < total * FREE:
        return Check(
            "disk space",
            False,
            f"the class's disk is full: {free >> 20} MB of {total >> 20} MB are free, and old versions of files are "
            f"deleted; near their own limit: {most or 'nobody'}. Lower limits: disk, or take a bigger size",
        )
    if spent := [(name, share) for name, share in shares if share >= SPENT]:
        return Check(
            "disk space",
            False,
            f"disk full for {_named(spent)} of their limit; nobody else is affected. Let them delete some, or raise "
            "limits: disk in the course file",
        )
    return Check("disk space", True, f"near their limit: {most or 'nobody'}")


def _named(shares: list[tuple[str, int]]) -> str:
    """The first five with their per cent, as text. It is for the teacher's terminal only, because of the names."""
    return ", ".join(f"{name} {share} %" for name, share in shares[:5])
