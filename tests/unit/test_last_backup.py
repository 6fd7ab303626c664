"""The last backup before a server is deleted: when it is made, and when nothing may be deleted."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from runner.cloud import Server
from runner.errors import CoursehubError
from runner.session import Session
from runner.verbs import backup

pytestmark = pytest.mark.unit
GOOD = {"problem": None, "targets": {"office": {}}}


@dataclass
class Access:
    """SSH to a server that answers as the test says."""

    known_hosts: Path
    answers: dict[str, Any]
    ran: list[str] = field(default_factory=list)

    def has_first_host_key(self) -> bool:
        return False

    def run(self, _ip: str, script: str, *, seconds: int = 60) -> str:
        del seconds
        self.ran.append(script)
        return "yes\n" if "test -e" in script and self.answers else ""


@dataclass
class Visit:
    """As much of a session as the last backup needs."""

    access: Access
    course_id: str = "phys"

    def at(self, *_keys: str) -> str:
        return "phys.sls:9"


@pytest.fixture
def visit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    def make(**answers: Any) -> Any:
        (tmp_path / "known").touch()
        known = {"has-work": {"work": True}, "status": GOOD, **answers}
        monkeypatch.setattr(backup, "ask", lambda _session, _ip, *words: known[words[0]])
        return Visit(Access(tmp_path / "known", known))

    return make


def server(state: str = "active") -> Server:
    return Server(1, "phys", "192.0.2.1", "s-1vcpu-1gb", "debian-13-x64", "nyc3", state)


def last(visit: Any, at: Server | None = None) -> str | None:
    return backup.make_last(visit, at or server(), lambda _line: None)


def test_backup_is_made_and_named(visit: Any) -> None:
    here = visit()
    assert last(here) == "the last backup of phys is at office"
    assert "systemctl start coursehub-backup.service || true" in here.access.ran


def test_nothing_is_made_without_work(visit: Any) -> None:
    here = visit(**{"has-work": {"work": False}})
    assert last(here) is None
    assert not any("coursehub-backup.service" in script for script in here.access.ran)


def test_server_that_was_never_contacted_needs_none(visit: Any) -> None:
    here = visit()
    here.access.known_hosts.unlink()
    assert last(here, server("new")) is None


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ({"problem": "backup to office failed: no answer", "targets": {"office": {}}}, "no answer"),
        ({"problem": None, "targets": {"office": {"left_out": ["ada"]}}}, "it leaves out ada"),
        ({"problem": None, "targets": {"own": {"dies_with_server": True}}}, "are on the server's own disk"),
    ],
)
def test_nothing_is_deleted_after_a_bad_backup(status: dict[str, Any], words: str, visit: Any) -> None:
    with pytest.raises(CoursehubError, match="--discard-student-work") as error:
        last(visit(status=status))
    assert words in str(error.value)


def test_one_of_two_targets_may_be_on_the_own_disk(visit: Any) -> None:
    targets = {"own": {"dies_with_server": True}, "office": {}}
    assert last(visit(status={"problem": None, "targets": targets})) == "the last backup of phys is at own, office"


def test_server_that_is_off_keeps_its_disk(visit: Any) -> None:
    with pytest.raises(CoursehubError, match="the server is off"):
        last(visit(), server("off"))


def test_older_server_wants_an_apply_first(tmp_path: Path) -> None:
    class Older(Access):
        def run(self, _ip: str, script: str, *, seconds: int = 60) -> str:
            del seconds
            return "yes\n" if "test -e" in script else "usage: coursehub-backup [-h] {install,run} ...\n"

    (tmp_path / "known").touch()
    with pytest.raises(CoursehubError, match="older coursehub; run 'coursehub apply phys' first"):
        last(Visit(Older(tmp_path / "known", {})))


def test_session_has_what_the_last_backup_needs() -> None:
    assert {"access", "course_id", "at"} <= set(dir(Session)) | set(Session.__dataclass_fields__)
