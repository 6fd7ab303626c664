"""``drill``: restores the newest backup onto a throw-away server, and looks whether a class could work with it.

The course's own server, its DNS records and its certificate are not touched, and need not exist.
"""

from __future__ import annotations

import contextlib
import datetime
import secrets
import signal
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from runner.agreed import PATHS
from runner.cloud.costs import cost_of
from runner.console import Steps
from runner.drill import copy, record
from runner.errors import USAGE, CoursehubError
from runner.project import Project
from runner.providers import kind_of
from runner.rehearsal import crowd, reader
from runner.rehearsal.accounts import Person
from runner.rehearsal.student import Place
from runner.secrets import leaks
from runner.servers import birthplace, droplets
from runner.servers.claim import claim, claim_in_cloud
from runner.session import Session
from runner.session.needs import ensure_lock
from runner.session.order import check_order
from runner.verbs import backup, up
from runner.verbs.converge import converge

#: On the server: nginx's own certificate, as long as there is no other.
_CERTIFICATE = f"cat {PATHS['certificates']}/{{domain}}/fullchain.pem"


def drill(project: Project, course_id: str, steps: Steps, agree: Callable[[str], None]) -> dict[str, Any]:
    """Make a server, restore the newest backup onto it, compare, sign in as a student, and delete the server.

    A server that a killed drill left is deleted first. Before anything that costs money, ``agree`` gets its price; it
    raises to cancel. Raises CoursehubError, with the document, if any of it fails; the result is also kept for
    ``status``.
    """
    leaks.refuse(project)
    drill_id = copy.id_of(course_id)
    real = birthplace.load(project, course_id)
    kind = kind_of(real)
    if not real.backup.targets and not kind.keeps_backups:
        raise CoursehubError(
            f"{course_id}: there is no backup to try; write where to under backup: targets: "
            "(docs/course-file.md#backup), apply, and drill after the first backup",
            exit_code=USAGE,
        )
    with claim(project, drill_id, "drill"), _ending_in_order():
        cloud = kind.connect(project.state, steps.say if steps.console.is_terminal else lambda _line: None)
        copied, course = copy.load(project, course_id)
        session = Session(copied, drill_id, course, cloud)
        try:
            with claim_in_cloud(cloud, project, drill_id, "drill"):
                _remove(session, steps, "delete what an earlier drill left")
                check_order(session)
                ensure_lock(session)
                cloud.need_room()
                if cloud.costs:
                    agree(_price(session))
                document = _drill(Session(project, course_id, real, cloud), session, steps)
        finally:
            # With a server that could not be deleted, its keys stay for the next drill.
            if not session.access.directory.exists():
                copy.remove(project, course_id)
            kind.tidy(project.state, lambda _line: None)
    if document["error"]:
        raise CoursehubError(f"{course_id}: the drill failed: {document['error']}", document=document)
    return document


def lines(document: dict[str, Any]) -> list[str]:
    """The result for a person."""
    seconds = document["steps"]
    return [
        f"{document['course']}: {record.line(document['course'], document, running=False)}",
        f"  server {seconds['server']:.0f} s, highstate {seconds['highstate']:.0f} s, "
        f"restore {seconds['restore']:.0f} s, "
        f"comparison {seconds['compare']:.0f} s, sign-in to kernel {seconds['student']:.0f} s",
        f"  {document['bytes'] / 1e6:.1f} MB in {document['directories']} directories, from {document['target']}",
    ]


def _drill(own: Session, session: Session, steps: Steps) -> dict[str, Any]:
    """The drill after all questions. ``own`` is the course itself. The result is kept, and the server deleted."""
    began = record.begin(own.project, own.course_id)
    document: dict[str, Any] = {"course": own.course_id}
    error: str | None = "it was interrupted"
    try:
        _perform(own, session, steps, document, began)
        error = _what_differs(document)
    except (CoursehubError, OSError) as failure:
        error = str(failure)
    finally:
        document = record.end(own.project, own.course_id, began, error=error, **document)
        _remove(session, steps, "delete the drill's server")
    return document


def _price(session: Session) -> str:
    course = session.course
    size = session.cloud.sizes()[course.size]
    return (
        f"drill makes {course.size} in {course.region} and deletes it at its end, after about half an hour; it costs "
        f"{cost_of(size, None).hour:.3f} dollars an hour"
    )


def _perform(own: Session, session: Session, steps: Steps, document: dict[str, Any], began: float) -> None:
    """All steps on the server. ``document`` gets what each found."""
    with steps.step("server", "make a throw-away server") as progress:
        session.cloud.prepare(session.course.image, progress)
        server = up.make_server(session, progress)
        ip = str(server.ip)
        only = {**(own.kept_backup() or {}), "restores_only": True}
        session.write_pillar(ip, {"backup": only, "letsencrypt": {"names": []}})
    converge(session, server, steps)
    with steps.step("restore", "restore the newest backup") as progress:
        found = backup.follow_restore(session, [], progress)
        document |= {"target": found.get("target"), "at": found.get("at")}
        if found.get("error") or not found.get("ended"):
            raise CoursehubError(found.get("error") or "the restore was interrupted")
        taken = datetime.datetime.fromisoformat(found["at"]).timestamp()
        document |= {"age": round(began - taken), "parts": _results(found)}
    with steps.step("compare", "compare each file with the backup"):
        compared = backup.ask(session, ip, "compare")
        samples = compared.pop("samples")
        document |= compared
    with steps.step("student", "sign in as a student"):
        account = _choose(session, samples)
        _read_as_student(session, ip, account, samples[account])
    document |= {
        "account": account,
        "seconds": round(time.time() - began, 1),
        "steps": {key: round(seconds, 1) for key, seconds in steps.seconds.items()},
    }


def _results(found: dict[str, Any]) -> dict[str, int]:
    """How many parts of the restore had each result."""
    results = [one["result"] for one in found["parts"]]
    return {result: results.count(result) for result in sorted(set(results))}


def _choose(session: Session, samples: dict[str, Any]) -> str:
    """A student with a file that can be read; another person if no student has one."""
    for person in (*session.people.students, *session.people.everyone()):
        if person.account in samples:
            return person.account
    raise CoursehubError("nobody of the course has a file in the backup")


def _read_as_student(session: Session, ip: str, account: str, sample: dict[str, str]) -> None:
    """Sign in with a password that only the throw-away server knows, and let a kernel read a file of the backup."""
    person = Person(account, secrets.token_hex(16))
    session.access.run(ip, f"chpasswd << 'PASSWORD'\n{account}:{person.password}\nPASSWORD\n")
    course = session.course
    bundle = session.project.state / "certificate.pem"
    bundle.write_text(session.access.run(ip, _CERTIFICATE.format(domain=course.domain)), encoding="ascii")
    place = Place(course.domain, ip, crowd.trust(bundle), course.subdomains)
    if reader.read(place, person, sample["path"]) != sample["sha256"]:
        raise CoursehubError(f"the kernel of {account} read a file with another content than in the backup")


def _what_differs(document: dict[str, Any]) -> str | None:
    """What the restore or the comparison found wrong, in a line."""
    bad = {key: number for key, number in document["parts"].items() if key in ("failed", "partly")}
    if bad:
        said = ", ".join(f"{number} {key}" for key, number in bad.items())
        return f"not everything could be restored ({said})"
    if document["differ"]:
        names = [one["name"] for one in document["differ"]]
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        return f"{names[0]}{more}: not as in the backup"
    return None


def _remove(session: Session, steps: Steps, title: str) -> None:
    """Delete the drill's servers with all that was made for them. Raises CoursehubError for one that is not ours."""
    with steps.step("remove", title) as progress:
        servers = droplets.found(session.cloud, session.access, progress)
        for server in servers:
            if not session.access.has_keys(server):
                raise CoursehubError(
                    f"droplet {server.id} is of a drill of this course, made by {server.made_by or 'somebody else'}; "
                    "run the drill there, or delete it in the control panel"
                )
        if servers or session.access.directory.exists():
            up.delete(session, servers, progress)
        session.access.forget_server()


@contextlib.contextmanager
def _ending_in_order() -> Iterator[None]:
    """Let the signals that end a program (a shutdown, a closed terminal) end this one as Ctrl-C does."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
