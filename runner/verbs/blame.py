"""Finds the line of the course file that made a state fail: a misspelled package, an unknown host."""

from __future__ import annotations

import re
import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from runner.saltssh.results import Report, StateResult

if TYPE_CHECKING:
    from runner.session import Session

_NO_PACKAGE = re.compile(
    r"Unable to locate package (?P<one>[a-z0-9][a-z0-9+.-]*)"
    r"|Package '?(?P<two>[a-z0-9][a-z0-9+.-]*)'? has no installation candidate"
)
_NO_HOST = re.compile(
    r"(?:Could not resolve host(?:name)?:? |Temporary failure resolving |lookup |resolve host(?:name)? )['\"]?"
    r"(?P<host>[A-Za-z0-9.-]+)|(?P<unnamed>Name or service not known|failed to lookup address|getaddrinfo|No address "
    r"associated|Temporary failure in name resolution|Could not resolve)",
    re.IGNORECASE,
)


def blame(session: Session, report: Report) -> str | None:
    """The cause of failed states in the course file, as ``file:line: what; what to do``, or None."""
    for state in report.failed:
        said = _said(state)
        found = _package(session, said) or _host(session, said) or _repository(session, said)
        if found:
            return found
    return None


def _said(state: StateResult) -> str:
    return f"{state.comment}\n{state.changes.get('stderr') or ''}\n{state.changes.get('stdout') or ''}"


def _package(session: Session, said: str) -> str | None:
    missing = [match["one"] or match["two"] for match in _NO_PACKAGE.finditer(said)]
    missing = [name.rstrip(".") for name in missing]
    wanted = session.course.apt
    # Packages of the formulas exist, so if one of them is missing too, the mirror is to blame and not the file.
    if not missing or not set(missing) <= set(wanted):
        return None
    name = missing[0]
    others = f" (and {', '.join(sorted(set(missing) - {name}))})" if len(set(missing)) > 1 else ""
    return (
        f"{session.at('apt', wanted.index(name))}: apt: {session.course.image.rpartition('-x64')[0]} has no package "
        f"{name}{others}; correct the name, packages.debian.org finds it, or take it out"
    )


def _host(session: Session, said: str) -> str | None:
    match = _NO_HOST.search(said)
    if not match:
        return None
    for key, number, field, host in _hosts(session):
        if (match["host"] or "").rstrip(".").lower() == host or (match["unnamed"] and host in said):
            where = f"{session.at('material', key, number, field)}: material.{key}.{number + 1}.{field}"
            return f"{where}: {_no_address(host)}"
    return None


def _repository(session: Session, said: str) -> str | None:
    """What the server's fetcher says is wrong with a repository, at the line of its address."""
    lines = dict(line.split(": ", 1) for line in said.splitlines() if re.match(r"[a-z][a-z0-9-]*: ", line))
    for number, one in enumerate(session.course.material.repositories):
        if (line := lines.get(one.name)) and one.url in line:
            return (
                f"{session.at('material', 'repositories', number, 'url')}: material.repositories.{number + 1}: {line}"
            )
    return None


def _no_address(host: str) -> str:
    """Say why the server finds no address for a host; this computer is asked whether there is one."""
    try:
        socket.getaddrinfo(host, 443)
    except socket.gaierror as error:
        if error.errno in (socket.EAI_NONAME, socket.EAI_NODATA):
            return f"there is no host {host}; correct it"
        return (
            f"the server finds no address for {host}; correct it if it is mistyped. If it is right, its name server is "
            "down: try again later"
        )
    return (
        f"the server finds no address for {host}, and this computer does: the server's name server (DNS) does not "
        "answer; wait some minutes"
    )


def _hosts(session: Session) -> list[tuple[str, int, str, str]]:
    material = session.course.material
    found = [
        ("repositories", number, "url", one.host.lower())
        for number, one in enumerate(material.repositories)
        if not one.folder
    ]
    for number, one in enumerate(material.data):
        if one.remote:
            found.append(("data", number, "source", (urlsplit(one.source).hostname or "").lower()))
    return found
