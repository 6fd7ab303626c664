"""`backup` and `restore` as typed: what the server is asked, and what a teacher reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from runner.verbs import backup
from tests.support.upgrading import Upgrading, made, server

__all__ = ["made", "server"]

pytestmark = pytest.mark.unit
AT = "2026-11-30T14:00:00+00:00"
WENT_WELL = {"ok": 9, "files": 12, "bytes": 34_000_000, "added": 1_500_000, "seconds": 2.5}


class Backups:
    """The server's ``coursehub-backup``; it answers each command with its document, then with the next."""

    def __init__(self, server: Upgrading, directory: Path) -> None:
        self.programs, self.directory = server.programs, directory
        server.programs.add("coursehub-backup", f'. {directory}/"$1"; exit 0')

    def says(self, word: str, script: str) -> None:
        (self.directory / word).write_text(script)

    def answers(self, word: str, *documents: dict[str, Any]) -> None:
        files = [self.directory / f"{word}-{number}" for number in range(len(documents))]
        for file, document in zip(files, documents, strict=True):
            file.write_text(f"{json.dumps(document)}\n")
        # The last one is said for ever.
        self.says(word, f"for one in {' '.join(map(str, files))}; do [ ! -e $one ] || break; done; cat $one\n"
                        f"[ $one = {files[-1]} ] || rm $one\n")  # fmt: skip

    def asked(self, word: str) -> list[list[str]]:
        return [words[1:] for words in self.programs.calls("coursehub-backup") if words[0] == word]


@pytest.fixture
def backups(server: Upgrading, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Backups:
    monkeypatch.setattr(backup, "_COMMAND", str(server.programs.directory / "coursehub-backup"))
    monkeypatch.setattr(backup, "POLL", 0.01)
    return Backups(server, tmp_path)


def status(problem: str = "", now: int = 5, **targets: dict[str, Any]) -> dict[str, Any]:
    return {"now": now, "problem": problem, "targets": targets}


def test_backup_names_each_target(backups: Backups, coursehub: Any) -> None:
    backups.answers("status", status(office=WENT_WELL))
    ended = coursehub("backup", "phys")
    assert (ended.code, ended.out) == (0, "phys: office: 12 files, 34 MB, of which 1.5 MB are new, in 2.5 s\n")
    assert backups.programs.calls("systemctl") == [["start", "coursehub-backup.service"]]


def test_backup_that_failed_says_where(backups: Backups, coursehub: Any) -> None:
    backups.answers("status", status(), status("office: no answer", office={"error": "no answer"}, home=WENT_WELL))
    ended = coursehub("backup", "phys")
    assert ended.code == 1
    assert "phys: office: no answer; 'coursehub ssh phys journalctl -u coursehub-backup' says more" in ended.line
    assert ended.out.splitlines()[0] == "phys: office: failed: no answer"
    assert ended.out.splitlines()[1].startswith("phys: home: 12 files")


def test_backup_that_ran_already_is_made_once_more(backups: Backups, coursehub: Any) -> None:
    """It may have read a home before its owner's last change."""
    old = {**WENT_WELL, "ok": 4}
    backups.answers("status", status(), status(office=old), status(office=WENT_WELL))
    assert coursehub("backup", "phys").code == 0
    assert len(backups.programs.calls("systemctl")) == 2
    backups.answers("status", status(office=old))
    assert "the backup to office ended before it was complete" in coursehub("backup", "phys").line


@pytest.mark.usefixtures("server")
def test_course_without_a_target_is_told_where_it_belongs(coursehub: Any) -> None:
    for words in (("backup", "phys"), ("restore", "phys", "--user", "abello", "--path", ".")):
        ended = coursehub(*words)
        assert ended.code == 2
        assert "phys has no backup on its server; add a target under backup: targets:" in ended.line


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--user", "abello"],
        ["--path", "lab"],
        ["--all", "--user", "abello"],
        ["--user", "abello", "--path", "lab", "--stop-servers"],
    ],
)
def test_restore_of_nothing_certain_is_refused(backups: Backups, coursehub: Any, words: list[str]) -> None:
    ended = coursehub("restore", "phys", *words)
    assert ended.code == 2
    assert "say " in ended.line and "--user and --path" in ended.line
    assert backups.programs.calls("coursehub-backup") == []


@pytest.mark.parametrize("what", [["--all"], ["--user", "abello", "--path", "lab"]])
@pytest.mark.parametrize("useless", [["--at", "yesterday"], ["--in-place"], ["--stop-servers"]])
def test_list_with_an_option_of_a_restore_is_refused(
    backups: Backups, coursehub: Any, what: list[str], useless: list[str]
) -> None:
    """It would be ignored, and somebody thinks that it did something."""
    ended = coursehub("restore", "phys", *what, "--list", *useless)
    assert (ended.code, f"say it without {useless[0]}" in ended.line) == (2, True), ended.line
    assert backups.programs.calls("coursehub-backup") == []


def test_versions_of_a_file_are_listed(backups: Backups, coursehub: Any) -> None:
    backups.answers("list", {"versions": [{"at": AT, "size": 7}, {"at": AT, "size": None}]}, {"versions": []})
    words = ("restore", "phys", "--user", "abello", "--path", "lab one", "--list")
    assert coursehub(*words).out.splitlines() == ["  2026-11-30 14:00  7 bytes", "  2026-11-30 14:00  folder"]
    assert coursehub(*words, "--target", "office").out == "no backup has lab one of abello\n"
    asked = ["--user", "abello", "--path", "lab one"]
    assert backups.asked("list") == [asked, ["--target", "office", *asked]]


def test_restored_file_is_told_with_its_place(backups: Backups, coursehub: Any) -> None:
    """Only with --in-place the server may overwrite something."""
    backups.answers("restore", {"to": "/home/abello/lab (restored)", "at": AT, "left_out": 0},
                    {"to": "/home/abello/lab", "at": AT, "left_out": 2})  # fmt: skip
    words = ("restore", "phys", "--user", "abello", "--path", "lab")
    assert coursehub(*words).out == "/home/abello/lab (restored) is as it was at 2026-11-30 14:00\n"
    said = coursehub(*words, "--at", "yesterday", "--in-place", "--target", "office").out
    assert "2 files or folders in it belonged to others and were left out" in said
    asked = ["--user", "abello", "--path", "lab"]
    assert backups.asked("restore") == [asked, ["--target", "office", *asked, "--at", "yesterday", "--in-place"]]


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ("usage: coursehub-backup [-h] {status}", "its server was set up by an older coursehub; run 'coursehub apply"),
        ("nobody has no home", "phys: nobody has no home"),
        ("", "phys: no answer"),
    ],
)
def test_server_that_cannot_answer_is_one_line(backups: Backups, coursehub: Any, said: str, line: str) -> None:
    backups.says("restore", f"echo '{said}'")
    ended = coursehub("restore", "phys", "--user", "nobody", "--path", ".")
    assert (ended.code, line in ended.line) == (1, True), ended.line


def test_backups_of_whole_servers_are_listed(backups: Backups, coursehub: Any) -> None:
    other = {"at": AT, "size": 12_300_000, "server": "bbbbbbbb", "target": "office"}
    own = {"at": AT, "size": None, "server": "", "target": "home"}
    backups.answers("servers", {"snapshots": [other, own]}, {"snapshots": []})
    assert coursehub("restore", "phys", "--all", "--list").out.splitlines() == [
        "  2026-11-30 14:00      12.3 MB  server bbbbbbbb  office",
        "  2026-11-30 14:00         ? MB  this server  home",
    ]
    assert coursehub("restore", "phys", "--all", "--list").out == "there is no backup yet\n"


RUNS = {"running": True, "now": "home abello", "total": 5, "parts": []}
ENDED = {"running": False, "began": 1.0, "ended": 9.0, "at": AT, "server": "bbbbbbbb", "target": "office"}


def part(name: str, result: str = "restored", why: str = "") -> dict[str, Any]:
    return {"name": name, "result": result, "why": why}


def test_restore_of_everything_is_followed_to_its_end(backups: Backups, coursehub: Any) -> None:
    parts = [part("passwords", why="3 passwords were set"), part("home abello"), part("home curie", "beside", "in use")]
    backups.answers("restore-everything", RUNS)
    backups.answers("progress", RUNS, {**ENDED, "parts": parts})
    ended = coursehub("restore", "phys", "--all", "--at", "yesterday", "--stop-servers")
    assert ended.code == 0, ended.err
    assert ended.out.splitlines() == [
        "phys: 1 homes are as they were at 2026-11-30 14:00 on server bbbbbbbb, from office, after 8 s",
        "  restored passwords: 3 passwords were set",
        "  beside   home curie: in use",
    ]
    asked = [["--at", "yesterday", "--stop-servers"]]
    assert (backups.asked("restore-everything"), len(backups.asked("progress"))) == (asked, 2)


def test_restore_that_failed_in_part_says_all_the_same(backups: Backups, coursehub: Any) -> None:
    parts = [part("home abello"), part("home curie", "failed", "the disk is full")]
    backups.answers("restore-everything", {**ENDED, "parts": parts})
    ended = coursehub("restore", "phys", "--all")
    assert ended.code == 1
    assert "home curie could not be restored; the rest is; run 'coursehub restore phys --all' again" in ended.line
    assert "  failed   home curie: the disk is full" in ended.out
    backups.answers("restore-everything", {"running": False, "error": "there is no backup of another server"})
    ended = coursehub("restore", "phys", "--all")
    assert (ended.code, ended.out) == (1, "")
    assert "there is no backup of another server" in ended.line
