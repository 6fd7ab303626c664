"""``restore --all`` on the teacher's computer: what it says when the server's restore has ended."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from runner.cli.backup import _everything, _snapshots
from runner.console import Steps
from runner.errors import CoursehubError
from runner.project import Project
from runner.verbs import backup

pytestmark = pytest.mark.unit
ENDED = {
    "running": False,
    "began": 1.0,
    "ended": 2.0,
    "at": "2026-11-30T14:00:00+00:00",
    "server": "bbbbbbbb",
    "target": "office",
}


def part(name: str, result: str, why: str = "") -> dict[str, Any]:
    return {"name": name, "result": result, "why": why, "seconds": 0.1}


@pytest.fixture
def restore(project: Project, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Runs it with a server that answers with a report. The claims are noted."""
    claims: list[str] = []

    @contextlib.contextmanager
    def claimed(*arguments: Any) -> Iterator[None]:
        claims.append(arguments[-1])
        yield

    class Visit:
        cloud = None

        def server(self) -> Any:
            return type("Server", (), {"ip": "192.0.2.1"})

    def run(found: dict[str, Any], **options: str | None) -> dict[str, Any]:
        monkeypatch.setattr(backup, "ask", lambda *_arguments: found)
        monkeypatch.setattr(backup, "visit", lambda *_arguments: Visit())
        monkeypatch.setattr(backup, "claim", claimed)
        monkeypatch.setattr(backup, "claim_in_cloud", claimed)
        done = backup.restore_everything(project, "phys", Steps(), at=options.get("at"), target=options.get("target"))
        assert claims == ["restore", "restore"]
        return done

    return run


def test_restore_that_went_well_names_its_backup(restore: Callable[..., dict[str, Any]]) -> None:
    document = restore({**ENDED, "parts": [part("home ada", "restored")]})
    assert _everything(document) == [
        "phys: 1 homes are as they were at 2026-11-30 14:00 on server bbbbbbbb, from office, after 1 s"
    ]


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({"running": False, "error": "office: no answer"}, "^phys: office: no answer$"),
        (
            {"running": False, "ended": None},
            "interrupted; run 'coursehub restore phys --all --target office --at '2026-11-29 12:00'' again",
        ),
        (
            {**ENDED, "parts": [part("home ada", "failed"), part("home bo", "failed"), part("home cy", "partly")]},
            "home ada could not be restored, nor 1 more; the rest is; run 'coursehub restore phys --all' again",
        ),
        ({**ENDED, "parts": [part("home ada", "failed")]}, "home ada could not be restored; the rest is"),
        (
            {**ENDED, "parts": [part("home ada", "restored"), part("home bo", "partly")]},
            "home bo: some files could not be read from the backup at office; 'coursehub restore phys --all' tries",
        ),
    ],
)
def test_restore_that_went_wrong_says_what_to_do(
    found: dict[str, Any], words: str, restore: Callable[..., dict[str, Any]]
) -> None:
    with pytest.raises(CoursehubError, match=words) as error:
        restore(found, at="2026-11-29 12:00", target="office")
    assert error.value.document["course"] == "phys"


def test_list_of_backups_has_a_mark_for_unknown_sizes() -> None:
    one = {"at": "2026-11-30T14:00:00+00:00", "server": "", "target": "office", "size": None}
    lines = _snapshots({"snapshots": [one, {**one, "server": "bbbbbbbb", "size": 2_500_000}]})
    assert [line.split() for line in lines] == [
        ["2026-11-30", "14:00", "?", "MB", "this", "server", "office"],
        ["2026-11-30", "14:00", "2.5", "MB", "server", "bbbbbbbb", "office"],
    ]
