"""Python environments from the formulas' locks, as on a server, so that tests can run their programs here."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import IO

from runner.local.host import locked

#: Environments in use by this process; each stays locked until it ends.
_IN_USE: list[IO[str]] = []
_MADE = "made"


def python_of(lock: Path, elsewhere: Path) -> str:
    """The Python of an environment with exactly the packages of ``lock``, compiled. Tests must not change it.

    It is made once for each content of the lock and kept in .venv; a user without write access there gets it in
    ``elsewhere``. Environments of older locks are removed if no process uses them.
    """
    kept = Path(sys.prefix) / "test-environments"
    digest = hashlib.sha256(lock.read_bytes() + f"{sys.version} {sys.prefix}".encode()).hexdigest()[:12]
    home = kept / f"{lock.stem}-{digest}"
    if not os.access(sys.prefix, os.W_OK):
        if not (home / _MADE).exists():
            home = elsewhere / home.name
            _make(home, lock)
        return str(home / "bin/python")
    with locked(kept / f"{lock.stem}.lock"):
        if not (home / _MADE).exists():
            for old in kept.glob(f"{lock.stem}-{'[0-9a-f]' * 12}"):
                _remove_unused(old)
            _make(home, lock)
        used = (home / _MADE).open()
        fcntl.flock(used, fcntl.LOCK_SH)
        _IN_USE.append(used)
    return str(home / "bin/python")


def _remove_unused(home: Path) -> None:
    made = home / _MADE
    if made.exists():
        with made.open() as used:
            try:
                fcntl.flock(used, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
    shutil.rmtree(home)


def _make(home: Path, lock: Path) -> None:
    uv = str(Path(sys.executable).parent / "uv")
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(home)], check=True)
    # Compiled here, because most programs are started without writing bytecode.
    argv = [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", str(home / "bin/python")]
    argv += ["--require-hashes", "--no-deps", "-r", str(lock)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{lock.name} could not be installed: {done.stderr.strip()[-300:]}"
    (home / _MADE).touch()
