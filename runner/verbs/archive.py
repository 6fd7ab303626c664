"""``archive``: the whole term in one encrypted file, and a zip of each student's own files, both read back."""

from __future__ import annotations

import hashlib
import secrets as random
import shutil
import subprocess
import tarfile
import tempfile
import time
from pathlib import Path
from typing import IO, Any, cast

from runner.archive import reading, records, stream, zips
from runner.cloud import Server
from runner.console import Progress, Steps
from runner.errors import CoursehubError
from runner.project import Project
from runner.secrets import Secrets, sealed
from runner.secrets.vault import Vault
from runner.servers.access import ssh_error
from runner.servers.claim import claim
from runner.session import CHECK_ACCOUNT, Session, visit
from runner.setup.backup import PASSWORD

#: Seconds for a look at all files of a server.
_LOOK = 1800
#: Bytes that stay free on this computer.
_SPARE = 256 << 20
_PIECE = 1 << 20


def archive(project: Project, course_id: str, steps: Steps) -> dict[str, Any]:
    """Archive a course's homes, teams, shared files and records on this computer. Changes nothing on the server."""
    with claim(project, course_id, "archive"), steps.step("archive", f"archive of {course_id}") as progress:
        session = visit(project, course_id, progress)
        place, record = make(session, session.server(), progress)
    return _document(project, place, record, session)


def make(session: Session, server: Server, progress: Progress) -> tuple[Path, records.Record]:
    """Make an archive and read all of it back. Raises CoursehubError; then there is none."""
    need_space(session, server, progress)
    place = records.begin(session.project, session.course_id)
    try:
        password = password_of(session)
        file = place / f"{session.course_id}.tar.gpg"
        began, packed, changed = _pack(session, server, file, password, progress)
        entries, made = _read_back(session, file, password, packed, progress)
        for number, one in enumerate(made, 1):
            progress(f"reading back zip {number} of {len(made)}")
            zips.verify(place / records.STUDENTS / one.file, one)
        record = records.Record(
            course=session.course_id,
            server=server.id,
            began=began,
            file=file.name,
            sha256=records.digest(file),
            bytes=file.stat().st_size,
            entries=entries,
            changed=changed,
            zips=tuple(made),
        )
        return records.finish(place, record, _readme(session, record)), record
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise


def need_space(session: Session, server: Server, progress: Progress) -> None:
    """Raises CoursehubError if this computer's disk is too small for an archive."""
    progress("looking how much there is")
    said = session.access.run(str(server.ip), stream.Source().size(), seconds=_LOOK).strip()
    if not said.isdigit():
        raise CoursehubError(f"{session.course_id}: its server does not say how much space its files take")
    root = records.directory(session.project, session.course_id)
    # The encrypted archive, and the zips. Pictures and data may not become smaller at all.
    needed, free = int(2.1 * int(said)) + _SPARE, shutil.disk_usage(root).free
    if needed > free:
        raise CoursehubError(
            f"{session.project.shown(root)}: an archive of {session.course_id} may need {needed / 1e9:.1f} GB, and "
            f"{free / 1e9:.1f} GB are free on this computer; free some, or make 'archives' a link to a bigger disk"
        )


def has_one(session: Session, server: Server) -> bool:
    """Whether this server was archived before, current or not."""
    return _newest(session, server) is not None


def _newest(session: Session, server: Server) -> tuple[Path, records.Record] | None:
    found = records.newest(session.project, session.course_id)
    return found if found and found[1].server == server.id else None


def is_current(session: Session, server: Server) -> str | None:
    """The newest archive's directory, if it is undamaged and nothing has changed on the server since; else None."""
    found = _newest(session, server)
    if found is None:
        return None
    place, record = found
    script = stream.Source().changed(record.began)
    if session.access.run(str(server.ip), script, seconds=_LOOK).strip() == "changed":
        return None
    records.need_whole(session.project, place, record)
    return session.project.shown(place)


def password_of(session: Session) -> str:
    """The password of the course's backups, which opens its archives too. It is made if there is none."""
    here = None if session.course.backup.targets else session.cloud.backup_place(session.course_id)
    if here is not None:
        return here[1]
    secrets = Secrets(session.project, session.course_id)
    if PASSWORD not in secrets.names():
        Vault(session.project).ensure_key()
        secrets.set(PASSWORD, random.token_urlsafe(32))
    return secrets.get(PASSWORD)


def _pack(session: Session, server: Server, file: Path, password: str, progress: Progress) -> tuple[int, str, int]:
    """Fetch the stream into the encrypted file: when it began, its hash, and how many files changed meanwhile."""
    hash_, ip = hashlib.sha256(), str(server.ip)
    show = _Speed(progress, "fetched")
    with tempfile.TemporaryFile() as script, tempfile.TemporaryFile() as said:
        script.write(stream.Source().pack().encode())
        script.seek(0)
        argv = session.access.argv(ip, "/bin/sh", "-s")
        with subprocess.Popen(argv, stdin=script, stdout=subprocess.PIPE, stderr=said) as packing:
            try:
                with file.open("xb") as target, sealed.sealing(target, password) as written:
                    file.chmod(0o600)
                    while piece := cast("IO[bytes]", packing.stdout).read(_PIECE):
                        hash_.update(piece)
                        written.write(piece)
                        show.add(len(piece))
            except BaseException:
                packing.kill()
                raise
        said.seek(0)
        lines = said.read().decode(errors="replace").splitlines()
    if packing.returncode == 255:
        raise ssh_error(session.course_id, ip, "\n".join(lines))
    if packing.returncode or not lines or not lines[-1].startswith("done "):
        # Not tar's own words: they name students' files.
        raise CoursehubError(
            f"{session.course_id}: packing on the server failed (tar ended with {packing.returncode}); look at "
            f"'coursehub check {session.course_id}', then run this again"
        )
    return int(lines[-1].split()[1]), hash_.hexdigest(), sum(1 for line in lines if line.endswith("as we read it"))


def _read_back(
    session: Session, file: Path, password: str, packed: str, progress: Progress
) -> tuple[int, list[zips.Made]]:
    """Decrypt the archive, make the zips from it, and compare its hash: the number of entries, and the zips."""
    people = session.people
    staff = {CHECK_ACCOUNT, *(one.account for one in (*people.professors, *people.assistants))}
    persons = {one.account: one for one in people.everyone()}
    names = {account: one.name for account, one in persons.items()}
    show = _Speed(progress, "read back")
    source = stream.Source()
    made = zips.Zips(file.parent / records.STUDENTS, names, staff, source.homes, source.teams)
    try:
        with file.open("rb") as encrypted, sealed.unsealing(encrypted, password, file.name) as clear:
            reader = reading.Hashed(clear, show.add)
            entries = reading.walk(reader, made.add)
        if reader.hash.hexdigest() != packed:
            raise CoursehubError(f"{file.name} does not have what came from the server; run this again")
        closed = made.close()
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise CoursehubError(f"{file.name} cannot be read back ({error}); run this again") from None
    finally:
        made.abandon()
    for one in closed:
        # 'handback' needs them when the course file may be gone.
        if person := persons.get(one.account):
            one.name, one.email = person.name, person.email or ""
    return entries, closed


class _Speed:
    """Reports how many megabytes are done, once a second."""

    def __init__(self, progress: Progress, what: str) -> None:
        self._progress, self._what = progress, what
        self._bytes, self._shown = 0, time.monotonic()

    def add(self, count: int) -> None:
        self._bytes += count
        if time.monotonic() - self._shown > 1:
            self._shown = time.monotonic()
            self._progress(f"{self._bytes / 1e6:.0f} MB {self._what}")


def how_to_get_the_password(session: Session) -> str:
    """The command that shows the password of an archive."""
    if session.course.backup.targets or session.cloud.backup_place(session.course_id) is None:
        return f"./coursehub secrets show {session.course_id} {PASSWORD}"
    return f"cat .coursehub/backups/{session.course_id}.json   (the value of password)"


def _readme(session: Session, record: records.Record) -> str:
    return f"""{session.course.title}: everything that the class made, as of {time.strftime("%d %B %Y, %H:%M")}.

{record.file}
    homes, teams' and shared files, and the hub's database and log of openings. It is encrypted. To open it anywhere:
        gpg --decrypt {record.file} | tar --extract --xattrs
    gpg asks for the password. In the working copy of coursehub this shows it:
        {how_to_get_the_password(session)}
    It has been read back completely. To look whether it is still the same:
        echo '{record.sha256}  {record.file}' | sha256sum --check

{records.STUDENTS}/
    a zip of each student's own files, NOT encrypted, to give back to that student and to nobody else: for example as a
    file for this student in the LMS. 'coursehub handback {session.course_id}' makes a private link for each instead.

Copy this directory to a second place, then delete it here when you do not need it any more.
"""


def _document(project: Project, place: Path, record: records.Record, session: Session) -> dict[str, Any]:
    return {
        "course": record.course,
        "directory": project.shown(place),
        "password": how_to_get_the_password(session),
        **{key: value for key, value in record.document().items() if key != "course"},
    }


def lines(document: dict[str, Any]) -> list[str]:
    """What was archived, for a person."""
    students, short = document["zips"], [one for one in document["zips"] if one["left_out"]]
    place = document["directory"]
    made = [
        f"{document['course']}: {document['entries']} files and folders are in {place}/{document['file']}, "
        f"{document['bytes'] / 1e6:.0f} MB, encrypted and read back",
        f"  {len(students)} zips are in {place}/{records.STUDENTS}, one for each student, NOT encrypted",
        f"  to open the archive: gpg --decrypt FILE | tar --extract; its password: {document['password']}",
    ]
    if document["changed"]:
        made.append(f"  {document['changed']} files changed while they were read; run it again when nobody works")
    if short:
        names = ", ".join(one["account"] for one in short[:5]) + (" and others" if len(short) > 5 else "")
        made.append(f"  links and files that no zip can have are only in the archive: {names}; each zip names its own")
    others = [one["account"] for one in students if one["of_others"]]
    if others:
        made.append(f"  files of others in these homes are in nobody's zip: {', '.join(others[:5])}")
    return made
