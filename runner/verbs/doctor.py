"""``doctor``: check everything that ``up`` will need before it costs anything. Changes nothing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dnslib import QTYPE, RCODE, DNSError, DNSRecord

from runner import course as courses
from runner.cloud import Provider
from runner.console import Steps
from runner.course import Course
from runner.errors import CoursehubError
from runner.hub.checks import Check
from runner.project import Project
from runner.providers import KINDS, Kind, kind_of
from runner.session import Session
from runner.session.failures import made_elsewhere
from runner.session.order import check_order

#: Programs that verbs call, with their Debian package.
_TOOLS = {"ssh": "openssh-client", "ssh-keygen": "openssh-client", "git": "git", "gpg": "gnupg"}
#: Tolerated clock error in seconds. Certificates and tokens fail if the clock is wrong by hours.
_CLOCK = 60.0
#: Bytes that the working copy needs for keys, packages and logs.
_DISK = 1024**3
_DNS_SECONDS, _DNS_PORT = 3.0, 53
_RESOLV = Path("/etc/resolv.conf")


def doctor(project: Project, course_id: str | None, steps: Steps) -> dict[str, Any]:
    """Check this computer, and with a course also its account and address.

    Raises CoursehubError with the document if ``up`` would lack something.
    """
    looked: list[Check] = []
    with steps.step("doctor", f"look at what {f'up {course_id}' if course_id else 'coursehub'} needs") as progress:
        for name, look in _looks(project, course_id):
            progress(name)
            looked.append(_run(name, look))
    document = {"course": course_id, "ok": all(one.ok for one in looked), "checks": [asdict(one) for one in looked]}
    bad = [one for one in looked if not one.ok]
    if bad:
        what = f"{len(bad)} things are" if len(bad) > 1 else f"{bad[0].name} is"
        raise CoursehubError(f"{what} not ready; each line above says what to do", document=document)
    return document


def _run(name: str, look: Callable[[], str]) -> Check:
    try:
        return Check(name, True, look())
    except CoursehubError as problem:
        return Check(name, False, str(problem))


def _looks(project: Project, course_id: str | None) -> Iterator[tuple[str, Callable[[], str]]]:
    yield "tools", _tools
    yield "disk", lambda: _disk(project)
    yield "proxy settings", _proxies
    course = courses.load(project, course_id) if course_id else None
    for kind in [kind_of(course)] if course else KINDS.values():
        if not kind.costs:
            yield kind.name.removeprefix("the "), kind.ready
        elif course or kind.usable(project.state):
            yield from _account(kind, project, course_id, course)


def _account(
    kind: Kind, project: Project, course_id: str | None, course: Course | None
) -> Iterator[tuple[str, Callable[[], str]]]:
    try:
        cloud = kind.visit(project.state, lambda _line: None)
    except CoursehubError as problem:
        reason = str(problem)

        def refused() -> str:
            raise CoursehubError(reason)

        yield "token", refused
        return
    yield "token", lambda: _token(cloud)
    yield "scopes", lambda: _scopes(cloud)
    yield "quota", lambda: _quota(cloud)
    yield "clock", lambda: _clock(cloud)
    if course is None or course_id is None:
        return
    session = Session(project, course_id, course, cloud)
    yield "keys", lambda: _keys(session)
    yield "order", lambda: _order(session)
    yield "address", lambda: _address(session, kind.name_servers)


def _tools() -> str:
    missing = sorted({package for program, package in _TOOLS.items() if not shutil.which(program)})
    if missing:
        raise CoursehubError(f"missing: {', '.join(missing)}; run 'sudo apt-get install {' '.join(missing)}'")
    return ", ".join(_TOOLS)


def _disk(project: Project) -> str:
    free = shutil.disk_usage(project.state).free
    if free < _DISK:
        raise CoursehubError(f"{project.root} has {free / 1024**2:.0f} MB free and needs {_DISK // 1024**2}; make room")
    return f"{free / 1024**3:.0f} GB free"


def _proxies() -> str:
    # Only names: a proxy's address may contain a password.
    given = sorted(name for name in os.environ if name.lower() in ("http_proxy", "https_proxy", "all_proxy"))
    if not given:
        return "none"
    return f"{', '.join(given)}: what asks the internet goes through it; the local cloud and SSH do not"


def _token(cloud: Provider) -> str:
    account = cloud.health.account()
    if account.status != "active":
        why = f" ({account.message})" if account.message else ""
        raise CoursehubError(f"{cloud.name} says that the account is {account.status}{why}; look in the control panel")
    if not account.email_verified:
        raise CoursehubError(f"{cloud.name} has not verified the account's email address; open the mail that it sent")
    return "opens the account"


def _scopes(cloud: Provider) -> str:
    missing = cloud.health.missing_scopes()
    if missing:
        raise CoursehubError(f"the token lacks {', '.join(missing)}; make one with these scopes too")
    return "the token may do all that a course needs"


def _quota(cloud: Provider) -> str:
    account = cloud.health.account()
    if account.droplets >= account.droplet_limit:
        raise CoursehubError(
            f"the account has {account.droplets} of {account.droplet_limit} droplets; delete one, or ask {cloud.name} "
            "to raise the limit"
        )
    return f"{account.droplets} of {account.droplet_limit} droplets"


def _clock(cloud: Provider) -> str:
    cloud.health.account()
    wrong = cloud.health.clock_is_wrong_by()
    if abs(wrong) > _CLOCK:
        raise CoursehubError(
            f"this computer's clock is {abs(wrong) / 60:.0f} minutes {'ahead' if wrong > 0 else 'behind'}; set it "
            "(timedatectl set-ntp true)"
        )
    return "right"


def _keys(session: Session) -> str:
    servers = session.cloud.find(session.course_id, session.access.server())
    if not servers:
        return "made with the server"
    if not session.access.has_keys(servers[0]):
        raise made_elsewhere(session.access, servers[0])
    return f"those of droplet {servers[0].id} are here"


def _order(session: Session) -> str:
    check_order(session)
    course = session.course
    price = session.cloud.sizes()[course.size].price_monthly
    return f"{course.size} with {course.image} in {course.region}, {price:.0f} dollars a month"


def _address(session: Session, ours: Sequence[str]) -> str:
    """Check who serves the course's zone; ``ours`` are the provider's name servers."""
    course = session.course
    zone = session.zone()
    if zone is None:
        return f"{course.domain}: you make its A record yourself once 'up' says the address (dns: manual)"
    servers = _name_servers(zone.name)
    enter = f"enter {', '.join(ours[:-1])} and {ours[-1]} as its name servers where you bought it"
    if not servers:
        raise CoursehubError(f"{session.at('domain')}: nobody serves {zone.name} yet; {enter}")
    if not set(servers) & set(ours):
        raise CoursehubError(
            f"{session.at('domain')}: {zone.name} is served by {', '.join(servers)}, not by {session.cloud.name}; "
            f"{enter}, or write dns: manual"
        )
    return f"{course.domain}, in the zone {zone.name}, which {session.cloud.name} serves"


def _name_servers(zone: str) -> list[str]:
    """The name servers to which a zone is delegated, from this computer's resolver; empty if it has none."""
    question = DNSRecord.question(zone, "NS")
    for resolver in _resolvers():
        try:
            sent = question.send(resolver, _DNS_PORT, timeout=_DNS_SECONDS, ipv6=":" in resolver)
            answer = DNSRecord.parse(sent)
        except (OSError, DNSError):
            continue
        if answer.header.rcode not in (RCODE.NOERROR, RCODE.NXDOMAIN):
            continue
        return sorted(str(one.rdata).rstrip(".").lower() for one in answer.rr if one.rtype == QTYPE.NS)
    raise CoursehubError("this computer's name server does not answer; look at its network")


def _resolvers() -> list[str]:
    try:
        lines = [line.split() for line in _RESOLV.read_text(encoding="utf-8").splitlines()]
    except OSError:
        return []
    return [words[1] for words in lines if len(words) > 1 and words[0] == "nameserver"]
