"""Runs programs."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path


class UpgradeError(Exception):
    """What went wrong, in one line for a teacher."""


def run(argv: Sequence[str | Path], *, text: str | None = None, seconds: float = 120) -> str:
    """Run a program; return its output. Raises UpgradeError with its last line."""
    try:
        done = subprocess.run(
            list(map(str, argv)), input=text, capture_output=True, text=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise UpgradeError(f"{Path(argv[0]).name} did not end within {seconds:.0f} s") from error
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise UpgradeError(f"{Path(argv[0]).name}: {said[-1] if said else f'exit code {done.returncode}'}")
    return done.stdout


def quietly(argv: Sequence[str | Path], seconds: float = 120) -> bool:
    """Run a program; return whether it exited with 0."""
    try:
        run(argv, seconds=seconds)
    except (UpgradeError, OSError):
        return False
    return True
