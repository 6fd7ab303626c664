"""``passwords``: first passwords on paper, and new ones for people who forgot theirs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from runner import course as courses
from runner import saltssh
from runner.console import Steps
from runner.course import Person
from runner.errors import USAGE, CoursehubError
from runner.files import write_private
from runner.people import people_of
from runner.people.passwords import Card, Passwords, as_page, as_table
from runner.project import Project
from runner.servers.access import Access, HostKeyRefused
from runner.servers.claim import claim
from runner.session import reach


def sheet(project: Project, course_id: str, *, as_csv: bool, only_new: bool = False) -> dict[str, Any]:
    """Write everybody's first password, or those that were never printed, to a file that only this user can read."""
    course = _with_passwords(project, course_id)
    everyone = list(people_of(project, course_id, course).everyone())
    namesakes = {name for name, times in Counter(person.name.casefold() for person in everyone).items() if times > 1}
    with claim(project, course_id, "passwords"):
        store = Passwords(project, course_id)
        wanted = {person.account for person in everyone}
        if only_new:
            wanted = set(store.not_handed_out(wanted))
        passwords = store.ensure(person.account for person in everyone)
        cards = [
            Card(
                person.name,
                person.account,
                passwords[person.account].clear,
                _mark(person) if person.name.casefold() in namesakes else "",
            )
            for person in everyone
            if person.account in wanted
        ]
        path = _write_sheet(project, course_id, course, cards, as_csv=as_csv, only_new=only_new)
        store.hand_out(wanted)
    return {"course": course_id, "file": path and str(path), "people": len(cards), "new": only_new}


def _mark(person: Person) -> str:
    """What tells a person from others with the same name on paper."""
    return person.email or person.number or person.login or ", ".join(person.groups)


def _write_sheet(
    project: Project, course_id: str, course: courses.Course, cards: list[Card], *, as_csv: bool, only_new: bool
) -> Path | None:
    if not cards:
        return None
    name = "new-passwords" if only_new else "first-passwords"
    path = _handed_out(project, course_id, f"{name}.{'csv' if as_csv else 'html'}")
    if as_csv:
        # Excel reads UTF-8 without a byte order mark as Windows-1252.
        write_private(path, "\ufeff" + as_table(cards))
    else:
        write_private(path, as_page(cards, title=course.title, url=f"https://{course.domain}/"))
    return path


def sheet_lines(document: dict[str, Any]) -> list[str]:
    """The path of the sheet and what to do with it."""
    course, many = document["course"], document["people"]
    if not many:
        return [f"{course}: everybody's first password was printed already; without --new all are printed again"]
    what = f"{many} {'new ' * document['new']}first password{'s' * (many > 1)}"
    return [f"{course}: {what} in {document['file']}; print the sheet, hand out the slips and delete the file"]


def reset(project: Project, course_id: str, account: str, steps: Steps) -> dict[str, Any]:
    """Make a new password for one person. A running server gets it at once, otherwise the next apply sends it.

    ``why`` in the document says what kept it from the server. Raises CoursehubError, with the document, if a later
    apply would fail too: a wrong command line or pillar (2), a secret in git (2), an unknown host key.
    """
    course = _with_passwords(project, course_id)
    people = {person.account: person for person in people_of(project, course_id, course).everyone()}
    if account not in people:
        raise CoursehubError(
            f"nobody in {course_id} has the account {account}; look with 'coursehub roster show {course_id}'",
            exit_code=USAGE,
        )
    with claim(project, course_id, "passwords --reset"):
        path = _handed_out(project, course_id, f"{account}.txt")
        made = Passwords(project, course_id).reset(account)
        write_private(path, f"{account}\n{made.clear}\n")
        document: dict[str, Any] = {
            "course": course_id,
            "account": account,
            "file": str(path),
            "applied": False,
            "why": None,
        }
        if Access(project, course_id).server():
            try:
                with steps.step("reset", f"new password for {account}"):
                    _apply(project, course_id, steps)
                document["applied"] = True
            except CoursehubError as error:
                document["why"] = str(error)
                if error.exit_code == USAGE or isinstance(error, HostKeyRefused):
                    error.document = document
                    raise
    return document


def _handed_out(project: Project, course_id: str, name: str) -> Path:
    """The path of a file to hand out: in a directory for its course, so that names of two courses cannot collide."""
    sheets = project.state / "sheets"
    sheets.mkdir(mode=0o700, exist_ok=True)
    return sheets / course_id / name


def _with_passwords(project: Project, course_id: str) -> courses.Course:
    course = courses.load(project, course_id)
    if course.signin.kind != "password":
        where = courses.source(project, course_id).at("course", "signin", "kind")
        raise CoursehubError(
            f"{where}: people sign in by {course.signin.kind}, so nobody has a password here; a forgotten one is that "
            "provider's matter",
            exit_code=USAGE,
        )
    return course


def _apply(project: Project, course_id: str, steps: Steps) -> None:
    session = reach(project, course_id, steps.say)
    ip = str(session.server().ip)
    session.write_pillar(ip)
    report = saltssh.highstate(project, course_id, ip=ip, sls=["accounts"])
    if report.failed:
        raise CoursehubError(f"{course_id}: {report.failed[0].reason[:300]}")


def reset_lines(document: dict[str, Any]) -> list[str]:
    """The path of the new password, and from when it is valid; the password itself is not printed."""
    course = document["course"]
    when = "it counts from now on" if document["applied"] else f"it counts from the next 'coursehub apply {course}' on"
    why = f" ({document['why']})" if document["why"] else ""
    return [f"{course}: the new password of {document['account']} is in {document['file']}; {when}{why}"]
