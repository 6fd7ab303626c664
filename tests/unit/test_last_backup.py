"""What happens to the class's work before a server is deleted: a current archive, a last backup, or a new archive."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from runner.cloud import Server
from runner.errors import CoursehubError
from runner.project import Project
from runner.session import Session
from runner.verbs import archive, backup, keeping

pytestmark = pytest.mark.unit


def status(problem: str | None = None, **targets: Any) -> dict[str, Any]:
    return {"now": NOW, "problem": problem, "targets": targets}


#: The server's clock when `down` begins, and the results of backups that began before and after that.
NOW, BEFORE, AFTER = 1000.0, 999.0, 1001.0
GOOD = status(office={"ok": AFTER})


@dataclass
class Access:
    """SSH to a server that answers as the test says."""

    known_hosts: Path
    answers: dict[str, Any]
    ran: list[str] = field(default_factory=list)

    @property
    def started(self) -> int:
        """How many backups were started."""
        return sum("systemctl start coursehub-backup.service" in script for script in self.ran)

    def has_first_host_key(self) -> bool:
        return False

    def run(self, _ip: str, script: str, *, seconds: int = 60) -> str:
        del seconds
        self.ran.append(script)
        if "test -e" in script:
            return "yes\n" if self.answers["status"] else ""
        return "work\n" if self.answers["work"] and "/etc/skel" in script else ""


@dataclass
class Visit:
    """As much of a session as the last backup needs."""

    access: Access
    project: Project
    course_id: str = "phys"

    @property
    def cloud(self) -> Any:
        return type("Cloud", (), {"several": lambda _self, _course, found: f"the cloud has {len(found)} servers"})()


@pytest.fixture
def visit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    def make(**answers: Any) -> Any:
        (tmp_path / "known").touch()
        known = {"work": True, "status": GOOD, "archived": None, "before": False, "archive": None, **answers}
        access = Access(tmp_path / "known", known)

        def ask(_session: Any, _ip: str, *words: str) -> Any:
            found = known[words[0]]
            # A list has the answer after each backup that was started.
            return found[min(access.started, len(found) - 1)] if isinstance(found, list) else found

        def current(*_: Any) -> str | None:
            if isinstance(known["archived"], Exception):
                raise known["archived"]
            return known["archived"]

        def has_one(*_: Any) -> bool:
            if isinstance(known["before"], Exception):
                raise known["before"]
            return bool(known["before"])

        def archive_it(*_: Any) -> tuple[Path, None]:
            access.ran.append("archive")
            if known["archive"] is None:
                raise CoursehubError("the disk is full")
            return tmp_path / known["archive"], None

        monkeypatch.setattr(backup, "ask", ask)
        monkeypatch.setattr(archive, "is_current", current)
        monkeypatch.setattr(archive, "has_one", has_one)
        monkeypatch.setattr(archive, "make", archive_it)
        return Visit(access, Project(tmp_path))

    return make


def server(state: str = "active") -> Server:
    return Server(1, "phys", "192.0.2.1", "s-1vcpu-1gb", "debian-13-x64", "nyc3", state)


def last(visit: Any, at: Server | None = None) -> str | None:
    return keeping.keep_work(visit, [at or server()], lambda _line: None)


def test_backup_is_made_and_named(visit: Any) -> None:
    here = visit()
    assert last(here) == "the last backup of phys is at office"
    assert here.access.started == 1


def test_archive_is_made_again_for_newer_work(visit: Any) -> None:
    """The zips, which students get, would lack what was done since."""
    here = visit(before=True, archive="second")
    assert last(here) == "everything of phys is archived in second, with the newest work"
    assert here.access.started == 0


def test_archive_that_cannot_be_made_again_leaves_a_backup(visit: Any) -> None:
    told = last(visit(before=True))
    assert told == "the last backup of phys is at office; the students' zips lack newer work, because the disk is full"


def test_damaged_record_of_an_archive_leaves_a_backup(visit: Any) -> None:
    broken = CoursehubError("archives/phys/1/archive.json is damaged")
    assert last(visit(archived=broken, before=broken)) == "the last backup of phys is at office"


def test_archive_is_tried_once(visit: Any) -> None:
    here = visit(before=True, status=status("it is ill", office={"error": "no route"}))
    with pytest.raises(CoursehubError, match="and no archive could be made: the disk is full; mend that"):
        last(here)
    assert here.access.ran.count("archive") == 1


@pytest.mark.parametrize("old", [{"ok": BEFORE}, {}])
def test_backup_that_was_killed_is_no_last_backup(old: dict[str, float], visit: Any) -> None:
    """The unit noted nothing, so the record still has the earlier good backup, or none, and no error."""
    here = visit(status=status(office={"ok": AFTER}, other=old))
    with pytest.raises(CoursehubError, match="the backup to other ended before it was complete"):
        last(here)


def test_backup_that_ran_already_is_followed_by_another(visit: Any) -> None:
    here = visit(status=[status(office={"ok": BEFORE}), status(office={"ok": BEFORE}), GOOD])
    assert last(here) == "the last backup of phys is at office"
    assert here.access.started == 2


def test_nothing_is_made_without_work(visit: Any) -> None:
    here = visit(work=False)
    assert last(here) is None
    assert here.access.started == 0


def test_server_that_was_never_contacted_needs_none(visit: Any) -> None:
    here = visit()
    here.access.known_hosts.unlink()
    assert last(here, server("new")) is None


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (status("backup to office failed: no answer", office={}), "no answer"),
        (status(office={"ok": AFTER, "left_out": ["ada"]}), "the backup leaves out ada"),
        (status(own={"ok": AFTER, "dies_with_server": True}), "are on the server's own disk"),
    ],
)
def test_nothing_is_deleted_after_a_bad_backup(found: dict[str, Any], words: str, visit: Any) -> None:
    with pytest.raises(CoursehubError, match="--discard-student-work") as error:
        last(visit(status=found))
    assert words in str(error.value)


def test_one_of_two_targets_may_be_on_the_own_disk(visit: Any) -> None:
    found = status(own={"ok": AFTER, "dies_with_server": True}, office={"ok": AFTER})
    assert last(visit(status=found)) == "the last backup of phys is at own, office"


def test_server_that_is_off_keeps_its_disk(visit: Any) -> None:
    with pytest.raises(CoursehubError, match="the server is off"):
        last(visit(), server("off"))


def test_several_servers_are_not_deleted(visit: Any) -> None:
    """Each of them may be the one in which the class works."""
    here = visit()
    with pytest.raises(CoursehubError, match="nothing was deleted: the cloud has 2 servers; mend that"):
        keeping.keep_work(here, [server(), server()], lambda _line: None)
    assert here.access.started == 0


def test_current_archive_is_enough(visit: Any) -> None:
    here = visit(archived="archives/phys/2026")
    assert last(here) == "everything of phys is archived in archives/phys/2026"
    assert here.access.started == 0


def test_damaged_archive_is_none(visit: Any) -> None:
    assert last(visit(archived=CoursehubError("it has changed"))) == "the last backup of phys is at office"


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (None, "there is no backup target"),
        (status("backup to office failed", office={}), "backup to office failed"),
        (status(office={"ok": AFTER, "left_out": ["ada"]}), "the backup leaves out ada"),
    ],
)
def test_archive_is_made_without_a_good_backup(found: Any, why: str, visit: Any) -> None:
    said = last(visit(status=found, archive="archives/phys/2027"))
    assert said is not None
    assert said.startswith(f"everything of phys is archived in archives/phys/2027, because {why}")


def test_archive_and_backup_that_fail_delete_nothing(visit: Any) -> None:
    with pytest.raises(CoursehubError) as error:
        last(visit(status=None))
    assert str(error.value) == (
        "phys: the class's work could not be saved, so nothing was deleted: there is no backup target, and no archive "
        "could be made: the disk is full; mend that, or go on without what was not saved yet: --discard-student-work"
    )


def test_session_has_what_the_last_backup_needs() -> None:
    assert {"access", "course_id", "cloud", "project"} <= set(dir(Session)) | set(Session.__dataclass_fields__)
