"""Python environments of a lock of the formulas, as a server has them, for tests that run what is in them here."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from runner.project import Project

REPO = Path(__file__).resolve().parents[2]


def python_of(lock: Path) -> str:
    """The Python of an environment with exactly what ``lock`` holds.

    Made once for what the lock says and kept in .coursehub, as .venv is: nearly a thousand modules are compiled at
    their first import. Tests change nothing in it. One whose lock is now another goes.
    """
    kept = Project(REPO).state / "test-environments"
    kept.mkdir(exist_ok=True)
    digest = hashlib.sha256(lock.read_bytes() + sys.version.encode() + sys.executable.encode()).hexdigest()[:12]
    home = kept / f"{lock.stem}-{digest}"
    with (kept / f"{lock.stem}.lock").open("w") as alone:
        fcntl.flock(alone, fcntl.LOCK_EX)
        if not (home / "complete").exists():
            for old in kept.glob(f"{lock.stem}-*"):
                shutil.rmtree(old)
            _make(home, lock)
            (home / "complete").touch()
    return str(home / "bin/python")


def _make(home: Path, lock: Path) -> None:
    uv = str(Path(sys.executable).parent / "uv")
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(home)], check=True)
    argv = [uv, "pip", "install", "--quiet", "--python", str(home / "bin/python"), "--require-hashes", "--no-deps"]
    done = subprocess.run([*argv, "-r", str(lock)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{lock.name} could not be installed: {done.stderr.strip()[-300:]}"
