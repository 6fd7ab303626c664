"""Runs the system's programs."""

from __future__ import annotations

import subprocess

ENVIRONMENT = {"LC_ALL": "C", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}


def run(*argv: str) -> str:
    """Run a program and return its output. Raises OSError with its last line if it fails."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=ENVIRONMENT)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise OSError(0, lines[-1] if lines else f"exit code {done.returncode}", argv[0])
    return done.stdout
