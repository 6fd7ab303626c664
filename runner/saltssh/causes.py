"""Known external causes of failures on a server (disk, DNS, mirror, index), in words for a teacher."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Cause:
    """What is wrong, and what to do before the command is run again."""

    what: str
    remedy: str


_LATER = "wait some minutes"
#: The first match counts: a full disk also breaks downloads, and a dead name server looks like a dead mirror.
_KNOWN: tuple[tuple[re.Pattern[str], Cause], ...] = (
    (
        re.compile(r"No space left on device|os error 28\b|enough free space in|not enough free disk", re.IGNORECASE),
        Cause("the server's disk is full", "make room there, or take a bigger size"),
    ),
    (
        re.compile(r"Could not resolve host(?:name)?:? ['\"]?(?P<host>[A-Za-z0-9.-]*[A-Za-z0-9])", re.IGNORECASE),
        Cause(
            "the server finds no address for {host}: the name is mistyped, or its name server (DNS) does not answer",
            "look at the name, and if it is right wait some minutes",
        ),
    ),
    (
        re.compile(
            r"Temporary failure (?:in name resolution|resolving)|failed to lookup address|Could not resolve|"
            r"Name or service not known|getaddrinfo (?:EAI_AGAIN|ENOTFOUND)|dns error",
            re.IGNORECASE,
        ),
        Cause("the server finds no addresses, its name server (DNS) does not answer", _LATER),
    ),
    (
        re.compile(r"E: Failed to fetch \S*/(?P<file>\S+?)(?:_\S*)?\s+404\b"),
        Cause("the Debian mirror does not have {file}, which stands in its own list (404)", _LATER),
    ),
    (
        re.compile(r"E: Failed to fetch \S*/(?P<file>\S+?)(?:_\S*)?\s+(?P<how>[^\[\n]*[^\s\[])"),
        Cause("the Debian mirror does not deliver {file} ({how})", _LATER),
    ),
    (
        re.compile(r"does not have a Release file"),
        Cause("the server has no list of Debian's packages, the mirror or its name server does not answer", _LATER),
    ),
    (
        re.compile(r"E: Unable to locate package (?P<file>\S+)"),
        # Names that are misspelled in the course file are reported earlier, with their line (runner/verbs/blame.py).
        Cause(
            "the server's list of Debian's packages lacks {file}: the mirror or its name server does not answer", _LATER
        ),
    ),
    (
        re.compile(r"State '(?P<name>\w+)\.\w+' was not found in SLS"),
        Cause(
            "there is no such state, or salt/config/master switches the module {name} off",
            "correct the state, or take the module off disable_states there",
        ),
    ),
    (
        re.compile(r"Could not get lock \S+ It is held by process (?P<pid>\d+ \(\S+\))"),
        Cause("another program installs packages on the server and does not end (process {pid})", _LATER),
    ),
    (
        re.compile(
            r"Failed to (?:fetch|download)|error sending request|connection broken|not enough bytes were received|"
            r"No matching distribution found|Request failed after \d+ retr|"
            r"npm (?:error|ERR!) (?:code|errno) E?(?:CONN|TIMEDOUT|NOTFOUND|404|5\d\d)",
            re.IGNORECASE,
        ),
        Cause("the index that Python's packages come from does not answer or lacks one", _LATER),
    ),
)


def cause(said: str) -> Cause | None:
    """Return the cause of a tool's error message, or None if it is not a known one."""
    for pattern, known in _KNOWN:
        if found := pattern.search(said):
            named = {key: value or "" for key, value in found.groupdict().items()}
            return Cause(known.what.format(**named), known.remedy)
    return None
