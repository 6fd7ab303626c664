"""Runs the programs of a build, and reports a failure in one line."""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

# A wheel of 100 MB over a slow college line still fits.
TIMEOUT_SECONDS = 1800


class BuildError(Exception):
    """The new environment could not be made; the message is for the teacher."""


def run(argv: Sequence[str | Path], what: str, **kwargs: Any) -> None:
    """Run one build step; ``what`` names it in errors. Raises BuildError with the most useful lines of its output."""
    try:
        done = subprocess.run(
            [str(part) for part in argv],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            timeout=TIMEOUT_SECONDS,
            text=True,
            errors="replace",
            check=False,
            **kwargs,
        )
    except subprocess.TimeoutExpired:
        raise BuildError(f"{what}: gave up after {TIMEOUT_SECONDS // 60} minutes") from None
    except OSError as problem:
        raise BuildError(f"{what}: {problem.strerror}: {problem.filename}") from None
    if done.returncode:
        log.warning("%s failed:\n%s", what, done.stdout)
        killed = f" (ended by signal {-done.returncode})" if done.returncode < 0 else ""
        raise BuildError(f"{what}: {_last_words(done.stdout, done.returncode)}{killed}")


def _last_words(output: str, returncode: int) -> str:
    """Return the most useful lines of a tool's output, without the drawing characters of uv."""
    lines = [line.strip(" \t│├╰─▶×╭·") for line in output.splitlines()]
    lines = [line for line in lines if line and not line.startswith(("hint:", "help:"))]
    wanted = [line for line in lines if line.lower().startswith(("error", "caused by", "failed"))]
    said = "; ".join(dict.fromkeys(wanted[:1] + lines[-1:]))
    # Packages write some of the output, so control characters must not reach the teacher's terminal.
    said = "".join(letter if letter.isprintable() else " " for letter in said)
    return said[:400] or f"exit code {returncode}"
