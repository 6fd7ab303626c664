"""What others wrote, as it reaches a teacher's terminal."""

from __future__ import annotations

import pytest

from runner.cli.base import emit
from runner.console import fail
from runner.plain import plain

pytestmark = pytest.mark.unit
#: A new title, colours, a cleared screen, a bell, eight-bit escapes, and a turned direction of writing.
EVIL = "a\x1b]0;owned\x07b\x1b[31mc\x1b[2Jd\x07\x9b31me\x9d0;owned\x9cf\u202eg\rh\x7fi\x00"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Amélie Nguyễn 王芳 ✓ [red]", "Amélie Nguyễn 王芳 ✓ [red]"),
        ("a\tb\nc", "a\tb\nc"),
        ("10\u00a0000", "10 000"),
        (EVIL, "a]0;ownedb[31mc[2Jd31me0;ownedfghi"),
        ("half a letter \udcff", "half a letter "),
    ],
)
def test_plain_text_steers_no_terminal(text: str, shown: str) -> None:
    assert plain(text) == shown


def test_results_and_errors_are_plain(capsys: pytest.CaptureFixture[str]) -> None:
    emit({}, False, [EVIL])
    fail(EVIL)
    said = capsys.readouterr()
    assert said.out.rstrip("\n").isprintable()
    assert said.err.rstrip("\n").isprintable()
