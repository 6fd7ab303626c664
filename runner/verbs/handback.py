"""``handback``: a private link for each student to the zip of their own files, served by a hub, for some days.

The zips are those of the newest archive. The hub may be the old one or the next term's (docs/decisions/end-of-term.md).
"""

from __future__ import annotations

import contextlib
import csv
import datetime
import hashlib
import io
import json
import secrets
import shlex
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import requests

from runner import course as courses
from runner.agreed import ACCOUNTS, HANDBACK, PATHS
from runner.archive import records, zips
from runner.console import Progress, Steps
from runner.course.people import Person
from runner.errors import USAGE, CoursehubError
from runner.files import write_private
from runner.hub.client import HubClient, cause_of
from runner.people import people_of
from runner.project import Project
from runner.servers.access import ssh_error
from runner.servers.claim import claim
from runner.session import Session, visit

#: Bytes of the server's disk that stay free.
_SPARE = 1 << 30
_ROOT = PATHS["handback"]
_LINKS, _TOKENS = "links.csv", "handback.json"

# The names of the files are keys, so they come through standard input and are in no argument.
_RECEIVE = f"umask 027; exec tar --extract --preserve-permissions --directory={shlex.quote(_ROOT)}"
_LOOK = f"test -d {_ROOT} && df --output=avail --block-size=1 {_ROOT} | tail -n 1 || echo none"


def handback(project: Project, course_id: str, steps: Steps, *, days: int, on: str | None) -> dict[str, Any]:
    """Put the zips of a course's newest archive on the hub ``on`` (default: its own), and write a list of links.

    Run again, it gives the same links and a new last day. Raises CoursehubError if a link does not work.
    """
    found = records.newest(project, course_id)
    if found is None:
        raise CoursehubError(
            f"{course_id} has no archive yet; run 'coursehub archive {course_id}' first", exit_code=USAGE
        )
    place, record = found
    hub = on or course_id
    with claim(project, hub, "handback"), steps.step("handback", f"handing back {course_id}") as progress:
        for number, one in enumerate(record.zips, 1):
            progress(f"reading zip {number} of {len(record.zips)}")
            zips.verify(place / records.STUDENTS / one.file, one)
        last = datetime.date.today() + datetime.timedelta(days=days)
        session = _hub(project, course_id, hub, place, progress)
        gifts = _gifts(place, record)
        _send(session, gifts, last, progress)
        _try(session, gifts, progress)
        links = {gift.account: gift.link(session) for gift in gifts}
        write_private(place / _LINKS, _table(_people(project, course_id), record.zips, links, last))
    return {
        "course": course_id,
        "on": hub,
        "links": len(links),
        "until": last.isoformat(),
        "file": project.shown(place / _LINKS),
    }


def _hub(project: Project, course_id: str, hub: str, place: Path, progress: Progress) -> Session:
    """The hub that will serve the zips."""
    try:
        session = visit(project, hub, progress)
        session.server()
    except CoursehubError as error:
        raise CoursehubError(
            f"{error}. Another hub can give the links: 'coursehub handback {course_id} --on COURSE'. Without one, give "
            f"each student their zip in {project.shown(place / records.STUDENTS)} in the LMS"
        ) from None
    return session


@dataclass(frozen=True)
class _Gift:
    """One student's zip on its way."""

    account: str
    path: Path
    token: str
    """Its unguessable name on the server."""

    def link(self, session: Session) -> str:
        """The address for the student."""
        return f"{session.url.rstrip('/')}{HANDBACK}{self.token}.zip"


def _gifts(place: Path, record: records.Record) -> list[_Gift]:
    """The zips with their names on the server. These stay the same, so that a link that was sent goes on working."""
    path = place / _TOKENS
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    tokens = {one.account: known.get(one.account) or secrets.token_urlsafe(32) for one in record.zips}
    write_private(path, json.dumps(tokens))
    return [_Gift(one.account, place / records.STUDENTS / one.file, tokens[one.account]) for one in record.zips]


def _send(session: Session, gifts: Sequence[_Gift], last: datetime.date, progress: Progress) -> None:
    """Copy the zips to the hub's server. Raises CoursehubError if its disk has no room for them."""
    ip = str(session.server().ip)
    said = session.access.run(ip, _LOOK).strip()
    if said == "none":
        raise CoursehubError(
            f"{session.course_id}: its server was set up by an older coursehub; run 'coursehub apply "
            f"{session.course_id}' first"
        )
    needed = sum(gift.path.stat().st_size for gift in gifts) + _SPARE
    if needed > int(said):
        raise CoursehubError(
            f"{session.course_id}: the zips need {needed / 1e9:.1f} GB on its server's disk, with 1 GB to spare, and "
            f"{int(said) / 1e9:.1f} GB are free; give each student their zip in the LMS instead"
        )
    # The end of the last day, wherever the students are.
    ends = datetime.datetime.combine(last, datetime.time(23, 59), datetime.timezone(datetime.timedelta(hours=-12)))
    argv = session.access.argv(ip, _RECEIVE)
    with tempfile.TemporaryFile() as errors:
        # A broken pipe: the other end says why.
        with (
            subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=errors) as receiving,
            contextlib.suppress(BrokenPipeError),
            cast("IO[bytes]", receiving.stdin) as pipe,
            tarfile.open(fileobj=pipe, mode="w|") as sent,
        ):
            for number, gift in enumerate(gifts, 1):
                progress(f"sending zip {number} of {len(gifts)}")
                _add(sent, gift, int(ends.timestamp()))
        errors.seek(0)
        if receiving.returncode:
            raise ssh_error(session.course_id, ip, errors.read().decode(errors="replace"))


def _add(sent: tarfile.TarFile, gift: _Gift, ends: int) -> None:
    entry = tarfile.TarInfo(f"{gift.token}.zip")
    entry.size, entry.mtime, entry.mode = gift.path.stat().st_size, ends, 0o640
    entry.uname, entry.gname = "root", ACCOUNTS["web_server"]
    with gift.path.open("rb") as content:
        sent.addfile(entry, content)


def _try(session: Session, gifts: Sequence[_Gift], progress: Progress) -> None:
    """Fetch each zip by its link, as a student does. Raises CoursehubError if one does not come as it is."""
    course_id = session.course_id
    with HubClient(session.course.domain, "", session.ca_bundle) as client:
        for number, gift in enumerate(gifts, 1):
            progress(f"trying link {number} of {len(gifts)}")
            found = hashlib.sha256()
            try:
                with client.http.get(gift.link(session), stream=True, timeout=60) as answer:
                    for piece in answer.iter_content(1 << 20):
                        found.update(piece)
            except (requests.RequestException, OSError) as error:
                raise CoursehubError(
                    f"{course_id}: its hub does not serve the zips ({cause_of(error)}); look at 'coursehub check "
                    f"{course_id}', then run this again"
                ) from None
            if found.hexdigest() != records.digest(gift.path):
                raise CoursehubError(
                    f"{course_id}: its hub does not serve the zip of {gift.account} (status {answer.status_code}); run "
                    f"'coursehub apply {course_id}', then this again"
                )


def _people(project: Project, course_id: str) -> dict[str, Person]:
    """Who is who, if the course file is still there and has no mistake: the zips are on the hub already."""
    if not project.course_file(course_id).exists():
        return {}
    try:
        people = people_of(project, course_id, courses.load(project, course_id))
    except CoursehubError:
        return {}
    return {one.account: one for one in people.everyone()}


def _table(
    people: Mapping[str, Person], made: Sequence[zips.Made], links: Mapping[str, str], last: datetime.date
) -> str:
    """The links for a mail merge. Who is not in the course file has the name and address from the archive."""
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(["account", "name", "email", "link", "until"])
    for one in made:
        person = people.get(one.account)
        name, email = (person.name, person.email or "") if person else (one.name or _name_in(one), one.email)
        table.writerow([one.account, name, email, links[one.account], last])
    return text.getvalue()


def _name_in(made: zips.Made) -> str:
    """The name in the file name of a zip; empty if there is none."""
    ending = f"_{made.account}.zip"
    return made.file.removesuffix(ending).replace("_", " ") if made.file.endswith(ending) else ""


def lines(document: Mapping[str, Any]) -> list[str]:
    """What was made, for a person."""
    own = f", or until 'coursehub down {document['on']}'" if document["on"] == document["course"] else ""
    return [
        f"{document['course']}: {document['links']} private links are in {document['file']}; they work until "
        f"{document['until']}{own}",
        "  whoever has a link gets that student's files: send each only to its student, for example as a mail merge",
    ]
