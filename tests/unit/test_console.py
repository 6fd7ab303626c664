"""Output during a step: on a terminal, and in a log that cannot be redrawn."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from runner import console
from runner.console import Steps
from tests.support.root import eventually

pytestmark = pytest.mark.unit


def steps(*, terminal: bool) -> tuple[Steps, io.StringIO]:
    shown = io.StringIO()
    return Steps(Console(file=shown, force_terminal=terminal, width=100, highlight=False)), shown


def plain(shown: io.StringIO) -> str:
    """Without the terminal's control sequences."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.getvalue())


def test_a_terminal_shows_what_happens_now_and_for_how_long() -> None:
    told, shown = steps(terminal=True)
    with told.step("server", "server") as progress:
        progress("ordering [the] droplet")
        # Names from the cloud are plain text, even if they look like rich's markup.
        eventually(lambda: re.search(r"server +\d+ s +ordering \[the\] droplet", plain(shown)))
    assert re.search(r"done +server \(\d+\.\d s\)", plain(shown))
    assert 0 < told.seconds["server"] <= told.total


def test_a_log_has_a_line_now_and_then_and_one_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console._Lines, "every", 0.02)
    told, shown = steps(terminal=False)
    with told.step("highstate", "highstate of phys") as progress:
        eventually(lambda: "...    highstate of phys: working (0 s)\n" in shown.getvalue())
        progress("state 3 of 9: nginx")
        eventually(lambda: "...    highstate of phys: state 3 of 9: nginx (0 s)\n" in shown.getvalue())
    assert re.search(r"\ndone   highstate of phys \(\d\.\d s\)\n$", shown.getvalue())
    assert "\x1b" not in shown.getvalue()


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()])
def test_a_step_that_fails_says_so_and_keeps_its_time(error: BaseException) -> None:
    told, shown = steps(terminal=False)
    with pytest.raises(type(error)), told.step("checks", "look from outside"):
        raise error
    assert re.search(r"^failed look from outside \(\d\.\d s\)\n$", shown.getvalue())
    assert "checks" in told.seconds
