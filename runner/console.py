"""What a verb prints while it works: one line for each step with its time, at least every 15 seconds.

All of this goes to standard error; standard output is for results.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.status import Status

from runner.plain import plain

Progress = Callable[[str], None]

#: Seconds between two lines of the same step when the output is not a terminal (CI, a log file).
_HEARTBEAT = 15.0


class Steps:
    """Print the steps of one verb with elapsed seconds, and record how long each took."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, highlight=False)
        self.started = time.monotonic()
        self.seconds: dict[str, float] = {}

    @property
    def total(self) -> float:
        """Seconds since the verb began."""
        return time.monotonic() - self.started

    def say(self, line: str) -> None:
        """Print one line."""
        self.console.print(plain(line), markup=False, soft_wrap=True)

    def hear(self) -> Progress:
        """Return a function that prints each line it gets, but does not repeat the line before."""
        last = ""

        def listen(line: str) -> None:
            nonlocal last
            if line != last:
                self.say(line)
            last = line

        return listen

    @contextlib.contextmanager
    def step(self, key: str, title: str) -> Iterator[Progress]:
        """Show ``title`` and the block's progress, then how long the step took.

        The block reports through the yielded function.
        """
        began = time.monotonic()
        view = _Spinner(self.console, title) if self.console.is_terminal else _Lines(self.say, title)
        try:
            with view:
                yield view.update
        except BaseException:
            self.seconds[key] = time.monotonic() - began
            self.console.print(f"[red]failed[/] {title} [dim]({self.seconds[key]:.1f} s)[/]", soft_wrap=True)
            raise
        self.seconds[key] = time.monotonic() - began
        self.console.print(f"[green]done[/]   {title} [dim]({self.seconds[key]:.1f} s)[/]", soft_wrap=True)


class _View:
    """The display of a running step: ``update`` sets the text; a timer redraws the elapsed seconds."""

    every = 1.0

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.text = ""
        self._ended = threading.Event()
        self._ticker = threading.Thread(target=self._tick, daemon=True)

    def update(self, text: str) -> None:
        """Say what is happening now."""
        self.text = text

    def draw(self) -> None:
        """Show title, text and elapsed seconds."""

    def _tick(self) -> None:
        while not self._ended.wait(self.every):
            self.draw()

    def __enter__(self) -> None:
        self._ticker.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._ticker.join()


class _Spinner(_View):
    every = 0.2

    def __init__(self, console: Console, title: str) -> None:
        super().__init__()
        self.title = title
        self.status = Status(title, console=console)

    def draw(self) -> None:
        elapsed = time.monotonic() - self.began
        self.status.update(f"{self.title} [dim]{elapsed:4.0f} s[/]  {_plain(self.text)}")

    def __enter__(self) -> None:
        self.status.start()
        super().__enter__()

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        self.status.stop()


class _Lines(_View):
    every = _HEARTBEAT

    def __init__(self, say: Callable[[str], None], title: str) -> None:
        super().__init__()
        self.title = title
        self.say = say

    def draw(self) -> None:
        self.say(f"...    {self.title}: {self.text or 'working'} ({time.monotonic() - self.began:.0f} s)")


def _plain(text: str) -> str:
    """Escape rich's markup and cut the text to one line."""
    return plain(text).replace("[", r"\[")[:100]


def fail(message: str) -> None:
    """Print the final error line of a verb."""
    print(f"coursehub: {plain(message)}", file=sys.stderr)
