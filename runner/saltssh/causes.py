"""Known external causes of failures on a server (disk, DNS, mirror, index), in words for a teacher."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Cause:
    """What is wrong, and what to do before the command is run again."""

    what: str
    remedy: str
    ends_it: bool = False
    """Whether nothing has to be run again after the remedy."""


_LATER = "wait some minutes"
#: For a refusal or a wrong certificate, which waiting does not fix.
_NETWORK = "ask the people who run your network (or the mirror) to let the server through"
#: The first match counts: a full disk also breaks downloads, and a dead name server looks like a dead mirror.
#: "COURSE" in a remedy becomes the course's id.
_KNOWN: tuple[tuple[re.Pattern[str], Cause], ...] = (
    (
        re.compile(
            r"No space left on device|os error 28\b|enough free space in|not enough free disk|Disk quota exceeded",
            re.IGNORECASE,
        ),
        Cause(
            "the server's disk is full",
            "make room there ('coursehub check COURSE' names the biggest homes), or take a bigger size",
        ),
    ),
    (
        # salt/_states/hub_version.py
        re.compile(r"these states bring another version of JupyterHub"),
        Cause(
            "this coursehub brings another version of JupyterHub, and nothing was changed",
            "run 'coursehub upgrade COURSE', which tries the new version first",
            ends_it=True,
        ),
    ),
    (
        re.compile(r"the version before was put back on this server"),
        Cause(
            "this server went back to the version before, and nothing was changed",
            "run 'coursehub upgrade COURSE' with a coursehub that works",
            ends_it=True,
        ),
    ),
    (
        re.compile(r"dpkg was interrupted"),
        Cause(
            "an installation of Debian packages was cut off on the server",
            "run 'coursehub ssh COURSE dpkg --configure -a'",
        ),
    ),
    (
        re.compile(
            r"Release file \S+ \S+ is not valid yet|certificate (?:is )?not (?:yet valid|valid yet)|NotValidYet",
            re.IGNORECASE,
        ),
        Cause(
            "the server's clock is wrong: to the server, what it downloads comes from the future",
            "look at 'coursehub ssh COURSE date', and set the clock with 'coursehub ssh COURSE date --set ...'",
        ),
    ),
    (
        re.compile(r"Release file \S+ \S+ is expired", re.IGNORECASE),
        Cause(
            "the Debian mirror's list has expired, or the server's clock is wrong",
            "look at 'coursehub ssh COURSE date'; if that is right, the mirror is out of date: choose another",
        ),
    ),
    (
        re.compile(
            r"certificate (?:has )?expired|certificate error, no details available|CERT_HAS_EXPIRED", re.IGNORECASE
        ),
        Cause(
            "the certificate of what the server downloads from has expired, or the server's clock is wrong",
            "look at 'coursehub ssh COURSE date'; if that is right, tell the people who run the mirror or index",
        ),
    ),
    (
        re.compile(
            r"unable to get local issuer certificate|self[- ]signed certificate|UnknownIssuer|"
            r"CaUsedAsEndEntity|certificate signer not trusted|certificate verify failed|SELF_SIGNED_CERT|"
            r"UNABLE_TO_(?:GET_ISSUER|VERIFY)",
            re.IGNORECASE,
        ),
        Cause(
            "something between the server and the internet, such as a campus filter, replaces certificates, and the "
            "server does not trust it",
            "ask the people who run your network for the certificate of its authority, and put it under base: "
            "extra_ca: in pillar/site.sls",
        ),
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
        re.compile(r"Failed to fetch \S*/(?P<file>\S+?)(?:_\S*)?\s+(?P<code>40[1367])\b"),
        Cause("the Debian mirror, or a filter on the way, refuses to give {file} ({code})", _NETWORK),
    ),
    (
        re.compile(r"E: Failed to fetch \S*/dists/(?P<file>\S+)\s+404\b"),
        Cause(
            "the Debian mirror has no {file} (404): the release is mistyped, or this mirror does not carry it",
            "correct its address in /etc/apt on the server, or take it out ('coursehub ssh COURSE')",
        ),
    ),
    (
        re.compile(r"E: Failed to fetch \S*/(?P<file>\S+?)(?:_\S*)?\s+404\b"),
        Cause("the Debian mirror does not have {file}, although its own list names it (404)", _LATER),
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
        # apt itself waited five minutes before it said so.
        re.compile(r"Could not get lock \S+ It is held by process (?P<pid>\d+) \((?P<name>\S+)\)"),
        Cause(
            "another program installs packages on the server and does not end ({name}, process {pid})",
            "look at it with 'coursehub ssh COURSE ps -fp {pid}', let it end or end it",
        ),
    ),
    (
        re.compile(r"Unable to acquire the dpkg frontend lock|dpkg is locked by another process", re.IGNORECASE),
        Cause(
            "another program installs packages on the server and does not end",
            "look which with 'coursehub ssh COURSE fuser -v /var/lib/dpkg/lock-frontend', let it end or end it",
        ),
    ),
    (
        re.compile(
            r"(?:returned an? |status client error \(|returned error: |\bcode E)(?P<code>40[137])\b", re.IGNORECASE
        ),
        Cause("the index that packages come from, or a filter on the way, refuses the server ({code})", _NETWORK),
    ),
    (
        re.compile(
            r"error sending request|connection broken|not enough bytes were received|Request failed after \d+ retr|"
            r"npm (?:error|ERR!) (?:code|errno) E?(?:CONN|TIMEDOUT|NOTFOUND|5\d\d)",
            re.IGNORECASE,
        ),
        Cause("the index that Python's packages come from does not answer", _LATER),
    ),
    (
        re.compile(
            r"Because (?P<one>\S+) was not found in the package registry|"
            r"No matching distribution found for (?P<two>\S+)|there is no version of (?P<three>\S+?),? |"
            r"Failed to (?:fetch|download)[^\n]*?`(?P<four>[^`]+)`[\s\S]*?404|"
            r"npm (?:error|ERR!) code E404[\s\S]*?404\s+'(?P<five>[^']+)'",
            re.IGNORECASE,
        ),
        Cause(
            "the index that packages come from lacks {file}",
            "run 'coursehub lock COURSE', which takes what the index has",
        ),
    ),
    (
        re.compile(r"Failed to (?:fetch|download)", re.IGNORECASE),
        Cause("the index that Python's packages come from does not answer", _LATER),
    ),
)


def cause(said: str) -> Cause | None:
    """Return the cause of a tool's error message, or None if it is not a known one."""
    for pattern, known in _KNOWN:
        if found := pattern.search(said):
            named = {key: value or "" for key, value in found.groupdict().items()}
            if "one" in named:
                named["file"] = "".join(named.values())
            return Cause(known.what.format(**named), known.remedy.format(**named), known.ends_it)
    return None
