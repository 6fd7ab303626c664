"""Progress of several courses at once: a live table on a terminal, otherwise one line for each step."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from types import TracebackType

from rich.live import Live
from rich.table import Table
from rich.text import Text

from runner.console import Progress, Steps


class Board:
    """A table with a row for each course. Use it as a context manager; ``row`` returns the steps of one course."""

    def __init__(self, steps: Steps, course_ids: list[str]) -> None:
        self._steps = steps
        self._rows = {course_id: _Row(steps, course_id) for course_id in course_ids}
        # A single course needs no table.
        shown = steps.console.is_terminal and len(course_ids) > 1
        self._live = Live(get_renderable=self._table, console=steps.console, refresh_per_second=4) if shown else None

    def __enter__(self) -> Board:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def row(self, course_id: str) -> Steps:
        """The steps of one course."""
        return self._rows[course_id] if self._live else self._steps

    def end(self, course_id: str, word: str) -> None:
        """Show how a course ended, in one or two words."""
        self._rows[course_id].end(word)

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False, header_style="dim")
        for title in ("COURSE", "SECONDS", "NOW"):
            table.add_column(title, no_wrap=True, justify="right" if title == "SECONDS" else "left")
        for course_id, row in self._rows.items():
            # Text instead of markup: a state's name may contain brackets.
            table.add_row(Text(course_id), f"{row.spent:.0f}", Text(row.now[:90]))
        return table


class _Row(Steps):
    """The steps of one course, shown in its row."""

    def __init__(self, steps: Steps, course_id: str) -> None:
        super().__init__(steps.console)
        self._course_id = course_id
        self._began: float | None = None
        self._ended: float | None = None
        self.now = "waiting for its turn"

    @property
    def spent(self) -> float:
        """Seconds from the course's first step to its end."""
        if self._began is None:
            return 0.0
        return (self._ended or time.monotonic()) - self._began

    def end(self, word: str) -> None:
        """Show how the course ended."""
        self.now, self._ended = word, time.monotonic()

    def say(self, line: str) -> None:
        """Print one line above the table, with the course's name."""
        super().say(f"{self._course_id}: {line.strip()}")

    @contextlib.contextmanager
    def step(self, key: str, title: str) -> Iterator[Progress]:
        """Show what the block reports in the course's row."""
        began = time.monotonic()
        self._began = self._began or began
        self._show(title)
        try:
            yield self._show
        finally:
            self.seconds[key] = time.monotonic() - began

    def _show(self, text: str) -> None:
        self.now = text
