"""Why a server ended: its journal, in words for a student."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.hub_config import FILES

pytestmark = pytest.mark.unit

sys.path.insert(0, str(FILES))
try:
    from class_inside import homes, last_words  # type: ignore[import-not-found]
finally:
    sys.path.remove(str(FILES))


def own(message: Any) -> dict[str, Any]:
    return {"_PID": "4711", "MESSAGE": message}


def systemds(**fields: str) -> dict[str, Any]:
    return {"_PID": "1", "MESSAGE": "jupyter-ada.service: Main process exited", **fields}


ENDED = systemds(EXIT_CODE="exited", EXIT_STATUS="1")


@pytest.mark.parametrize(
    ("journal", "says"),
    [
        ([systemds(EXIT_CODE="exited", EXIT_STATUS="200")], "Your home directory cannot be entered"),
        ([systemds(EXIT_CODE="killed", EXIT_STATUS="9")], "more memory than a server may have"),
        ([own("OSError: [Errno 28] No space left on device"), ENDED], "The disk is full"),
        ([own("OSError: [Errno 122] Disk quota exceeded: 'x'"), ENDED], "The disk is full"),
        ([own("RuntimeError: can't start new thread"), ENDED], "more processes than a server may have"),
        (
            [own("PermissionError: [Errno 13] Permission denied: '/home/ada/.jupyter/x'"), ENDED],
            "It has no access to /home/ada/.jupyter/x",
        ),
        (
            [own("[C 2026-11-29 22:05:06.123 ServerApp] Bad config"), own("  "), ENDED],
            "The last that it said: Bad config",
        ),
        ([own(list(b"half \xff line")), ENDED], "The last that it said: half \ufffd line"),
        ([ENDED], "It said nothing before it ended"),
        ([], "It said nothing before it ended"),
    ],
)
def test_last_words_become_a_reason(journal: list[dict[str, Any]], says: str) -> None:
    assert says in str(last_words.explain(journal))


def test_last_words_of_a_program_are_never_systemds() -> None:
    """A program that writes EXIT_STATUS into the journal is not systemd: journald records the process."""
    forged = {**own("hello"), "EXIT_CODE": "killed", "EXIT_STATUS": "9", "PID": "1"}
    assert last_words.explain([forged, ENDED]).why == "The last that it said: hello"


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("token=abc", "token=…"),
        ("JUPYTERHUB_API_TOKEN: 0123", "JUPYTERHUB_API_TOKEN: …"),
        ("Authorization: bearer xyz", "Authorization: …"),
        ("GET /?x=0123456789abcdef0123456789abcdef", "GET /?x=…"),
        ("asked with s3same", "asked with …"),
        ("\x1b[31mred\x1b[0m \x07bell\u202e", "red bell"),
        (" word" * 99, (" word" * 99)[1:201] + "…"),
        ("<b>KeyError: 'x'</b>", "<b>KeyError: 'x'</b>"),
    ],
)
def test_last_words_show_no_secret_and_no_tricks(line: str, shown: str) -> None:
    assert last_words.clean(line, hidden=["s3same", ""]) == shown


def test_last_words_skip_lines_that_are_no_entries() -> None:
    journal = "\n".join([json.dumps(own("one")), "{broken", "[1]", json.dumps(own("two"))])
    assert [entry["MESSAGE"] for entry in last_words.entries(journal)] == ["one", "two"]


@pytest.mark.parametrize("mode", [0o000, 0o400, 0o677])
def test_home_that_cannot_be_entered_is_repaired(tmp_path: Path, mode: int) -> None:
    home = tmp_path / "ada"
    home.mkdir()
    home.chmod(mode)
    assert homes.mended(str(home)) == {"ExecStartPre": f"+/usr/bin/chmod u+rwx {home}"}


def test_home_that_lets_its_owner_in_is_left_alone(tmp_path: Path) -> None:
    assert homes.mended(str(tmp_path)) == {}


@pytest.mark.parametrize("kind", ["missing", "link", "file"])
def test_home_that_is_no_directory_is_reported(tmp_path: Path, kind: str) -> None:
    home = tmp_path / "ada"
    if kind == "link":
        home.symlink_to("/etc")
    elif kind == "file":
        home.touch()
    with pytest.raises(homes.NoHome, match="not there"):
        homes.mended(str(home))


def test_journal_without_end_is_cut() -> None:
    """A student writes entries of many megabytes; the hub, which everybody needs, reads only one."""
    said = asyncio.run(last_words._said_by("head", "-c", "200000000", "/dev/zero"))
    assert len(said) == last_words.MOST


def test_journal_that_hangs_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(last_words, "PATIENCE", 0.2)
    assert asyncio.run(last_words._said_by("sleep", "60")) == ""
