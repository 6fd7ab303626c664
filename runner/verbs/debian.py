"""Debian's own packages on a server: upgraded while nobody is at work; a reboot only when a person said so."""

from __future__ import annotations

import time
from typing import Any

from runner.cloud import Server
from runner.console import Progress, Steps
from runner.errors import CoursehubError
from runner.rehearsal import accounts
from runner.saltssh import results
from runner.session import Session

_COMMAND = "/usr/local/sbin/coursehub-upgrade debian"
#: Seconds for apt, and for a reboot.
_APT, _REBOOT = 5400, 300
#: Changes with each boot, also in a container.
_BOOTED = "systemctl show -P UserspaceTimestampMonotonic; systemctl show -P UserspaceTimestamp"


def need_nobody(session: Session, ip: str) -> None:
    """Refuse what would end people's work. Raises CoursehubError."""
    if number := at_work(session, ip):
        raise CoursehubError(
            f"{session.course_id}: {_people(number)} at work, and a reboot ends their kernels; nothing was changed; "
            "run it again when nobody works"
        )


def at_work(session: Session, ip: str) -> int:
    """How many people's servers run."""
    return int(session.access.run(ip, accounts.AT_WORK).strip() or 0)


def _people(number: int) -> str:
    return "one person is" if number == 1 else f"{number} people are"


def upgrade(session: Session, server: Server, steps: Steps, document: dict[str, Any], *, reboot: bool) -> None:
    """Install what Debian has, unless somebody works. ``document`` gets what was done and what needs a reboot."""
    ip = str(server.ip)
    with steps.step("debian", f"Debian's packages of {session.course_id}") as progress:
        progress("asking the mirror")
        found = _ask(session, ip)
        if found["waiting"]:
            number = at_work(session, ip)
            if number:
                found["because"] = f"{_people(number)} at work"
            else:
                progress(f"installing {len(found['waiting'])} packages")
                found = _ask(session, ip, "--install")
        document["debian"] = found
        if reboot and found["reboot"]:
            need_nobody(session, ip)
            _restart(session, ip, progress)
            found["rebooted"] = found.pop("reboot")
            found["reboot"] = []


def _ask(session: Session, ip: str, *words: str) -> dict[str, Any]:
    # A unit of its own: the connection may break in the middle of dpkg.
    unit = "systemd-run --quiet --pipe --wait --collect --unit=coursehub-upgrade-debian"
    said = session.access.run(ip, f"{unit} {_COMMAND} {' '.join(words)} 2>&1 || true", seconds=_APT)
    found = results.document_in(said)
    if found is None or "error" in found:
        why = found["error"] if found else (said.strip().splitlines() or ["no answer"])[-1]
        raise CoursehubError(
            f"{session.course_id}: Debian's packages were not upgraded: {why}; the hub itself is upgraded; run "
            f"'coursehub upgrade {session.course_id}' again later"
        )
    return found


def _restart(session: Session, ip: str, progress: Progress) -> None:
    before = session.access.run(ip, _BOOTED)
    progress("restarting the server")
    session.access.run(ip, "systemd-run --quiet --on-active=1 systemctl reboot")
    deadline = time.monotonic() + _REBOOT
    while time.monotonic() < deadline:
        time.sleep(2)
        try:
            if session.access.run(ip, _BOOTED, seconds=20) != before:
                session.access.run(ip, "systemctl is-system-running --wait >/dev/null || true", seconds=_REBOOT)
                return
        except CoursehubError:
            continue
    raise CoursehubError(
        f"{session.course_id}: the server did not come back within {_REBOOT} s after its restart; look in the "
        f"provider's control panel, then run 'coursehub check {session.course_id}'"
    )


def lines(document: dict[str, Any]) -> list[str]:
    """What happened to Debian's packages, for a person."""
    found = document.get("debian")
    if not found:
        return []
    course_id, told = document["course"], []
    if found.get("installed"):
        told.append(f"  {len(found['installed'])} of Debian's packages upgraded")
    if found.get("waiting"):
        told.append(
            f"  {len(found['waiting'])} of Debian's packages wait, because {found['because']}; run 'coursehub upgrade "
            f"{course_id}' again when nobody works"
        )
    if found.get("rebooted"):
        told.append(f"  restarted: {'; '.join(found['rebooted'])}")
    if found.get("reboot"):
        told.append(
            f"  needs a restart: {'; '.join(found['reboot'])}; 'coursehub upgrade {course_id} --reboot' does it when "
            "nobody works"
        )
    return told
