"""Options that mean nothing, or of which one is missing, are refused in one line, before anything is done."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runner.project import Project
from tests.support.typed import Ended

pytestmark = pytest.mark.unit
Coursehub = Callable[..., Ended]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["passwords", "phys", "--reset", "abello", "--csv"], "no sheet; say it without --csv"),
        (["passwords", "phys", "--reset", "abello", "--new", "--csv"], "say it without --csv and --new"),
        (["passwords", "phys", "--reset"], "Option '--reset' requires an argument"),
        (["rehearse", "phys"], "Missing option '--students'"),
        (["rehearse", "phys", "--students", "0"], "0 is not in the range 1<=x<=500"),
        (["rehearse", "phys", "--students", "few"], "'few' is not a valid integer range"),
        (["rehearse", "phys", "--students", "3", "--over", "-1"], "-1.0 is not in the range x>=0"),
        (["rollover", "phys"], "Missing argument 'NEW'"),
        (["handback", "phys", "--days", "0"], "0 is not in the range 1<=x<=365"),
        (["handback", "phys", "--days", "400"], "400 is not in the range 1<=x<=365"),
        (["archive"], "Missing argument 'COURSE'"),
        (["keys", "restore"], "Missing argument 'FILE'"),
    ],
)
def test_arguments_that_cannot_be_meant(project: Project, coursehub: Coursehub, words: list[str], says: str) -> None:
    ended = coursehub(*words)
    assert (ended.code, says in ended.line) == (2, True), ended.err
    assert ended.out == ""
    # Not even a directory for passwords was made.
    assert not (project.root / ".coursehub").exists()


@pytest.mark.parametrize("verb", [["passwords"], ["archive"], ["rehearse", "--students", "2"]])
def test_course_that_is_not_there_is_named(project: Project, coursehub: Coursehub, verb: list[str]) -> None:
    del project
    ended = coursehub(*verb, "physics")
    assert ended.code == 2
    assert "physics" in ended.line and "phys" in ended.line.replace("physics", "")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "cannot be read: No such file or directory; give the file that has the passphrase"),
        (b"", "has no passphrase in its first line; write it there"),
        (b"\r\nsecond line\n", "has no passphrase in its first line; write it there"),
        (b"\xff\xfe\x00", "cannot be read: it is no text; give the file that has the passphrase"),
    ],
)
@pytest.mark.parametrize("verb", ["backup", "restore"])
def test_file_without_a_passphrase_is_told(
    tmp_path: Path, project: Project, coursehub: Coursehub, verb: str, content: bytes | None, says: str
) -> None:
    del project
    words = tmp_path / "words"
    if content is not None:
        words.write_bytes(content)
    ended = coursehub("keys", verb, str(tmp_path / "my.keys"), "--passphrase-file", str(words))
    assert (ended.code, ended.line.endswith(f"{words} {says}")) == (2, True), ended.line
    assert not (tmp_path / "my.keys").exists()


@pytest.mark.parametrize("verb", ["backup", "restore"])
def test_passphrase_is_not_read_from_a_pipe_by_chance(
    tmp_path: Path, project: Project, coursehub: Coursehub, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    """In a script the next line of its input would become the passphrase, and nobody would know it."""
    del project
    said: list[Any] = []
    monkeypatch.setattr("click.prompt", lambda *words, **_: said.append(words))
    (tmp_path / "input").write_text("by chance\n")
    with (tmp_path / "input").open() as pipe:
        monkeypatch.setattr("sys.stdin", pipe)
        ended = coursehub("keys", verb, str(tmp_path / "my.keys"))
    assert (ended.code, said) == (2, [])
    assert "only at a terminal; use --passphrase-file" in ended.line
