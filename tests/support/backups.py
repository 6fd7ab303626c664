"""What tests of backups share: a configuration, restic itself, and a manifest of a tree."""

from __future__ import annotations

import functools
import hashlib
import os
import pwd
import re
import shutil
import socket
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from coursehub_backup import config as configuration
from coursehub_backup import report, restoring, saving, state
from coursehub_backup.config import Config, Full, Target, Whole
from coursehub_backup.restic import Restic

from runner.audit import debian
from runner.audit.subject import ScanFailed
from tests.support import cheap_keys
from tests.support.sandbox import REPO

_CHEAP = REPO / ".coursehub" / "tests" / "cheap"
NOBODY = pwd.getpwnam("nobody")


@functools.cache
def restic_program() -> str:
    """A restic as new as a server's: this computer's own, or Debian 13's, unpacked below ``.coursehub``.

    Its repositories have cheap keys. Skips the test if there is none, or without root.
    """
    if os.geteuid() != 0:
        pytest.skip("needs root")
    own = shutil.which("restic")
    said = subprocess.run([own, "version"], capture_output=True, text=True, check=False).stdout if own else ""
    found = re.match(r"restic (\d+)\.(\d+)", said)
    if own and found and (int(found[1]), int(found[2])) >= (0, 17):
        return cheap_keys.wrapper(own, _CHEAP)
    try:
        unpacked = debian.unpacked(REPO, "restic", ["restic"], "tests") / "usr/bin/restic"
    except ScanFailed as error:
        pytest.skip(f"no restic: {error}")
    return cheap_keys.wrapper(str(unpacked), _CHEAP)


def config_of(root: Path, *targets: Target, **changes: Any) -> Config:
    """A configuration whose homes are ``root/home``."""
    given: dict[str, Any] = {
        "targets": targets,
        "sources": (str(root / "home"),),
        "exclude": (),
        "databases": (),
        "keep": {"hourly": 3},
        "hours": None,
        "upload_kib": 0,
        "restores_only": False,
        "homes": root / "home",
        "server": "0123456789abcdef0123456789abcdef",
        "restic_from": "",
        "alert_command": "",
        "alert_webhook": "",
        "problem": root / "run/problem",
        "full": Full(95, 500 << 20),
        "whole": Whole(
            group="users",
            except_for=(),
            shared=root / "class",
            marks=root / "left.json",
            log=root / "openings.log",
            record=root / "accounts.json",
            stop=(),
            servers="jupyter-*.service",
        ),
    }
    return Config(**{**given, **changes})


def manifest(root: Path) -> dict[bytes, tuple[Any, ...]]:
    """All below a directory by its name: kind, mode, owner, time, content, and which names are one file."""
    found: dict[bytes, tuple[Any, ...]] = {}
    first: dict[tuple[int, int], bytes] = {}
    for directory, names, files in os.walk(root):
        for path in (Path(directory, name) for name in sorted([*names, *files])):
            seen = path.lstat()
            kind = stat.S_IFMT(seen.st_mode)
            if stat.S_ISSOCK(seen.st_mode):
                continue
            content = ""
            if stat.S_ISREG(seen.st_mode):
                content = hashlib.sha256(path.read_bytes()).hexdigest()
            elif stat.S_ISLNK(seen.st_mode):
                content = str(path.readlink())
            short = os.fsencode(path.relative_to(root))
            one = first.setdefault((seen.st_dev, seen.st_ino), short) if kind == stat.S_IFREG else short
            # A link's mode means nothing.
            mode = 0 if stat.S_ISLNK(seen.st_mode) else stat.S_IMODE(seen.st_mode)
            found[short] = (kind, mode, seen.st_uid, seen.st_gid, seen.st_mtime_ns, content, one)
    return found


@pytest.fixture
def root() -> Iterator[Path]:
    """A directory that other accounts can enter; pytest's own cannot be entered."""
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        yield Path(made)


@pytest.fixture
def here(root: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Config, Restic]:
    """A home that belongs to nobody, a repository, and the program's own directories, all in the test's directory."""
    for directory in ("home", "state", "etc"):
        (root / directory).mkdir()
    for module in (state, saving, restoring, configuration):
        monkeypatch.setattr(module, "STATE", root / "state")
    monkeypatch.setattr(report, "RECORD", root / "state/everything.json")
    (root / "etc/password").write_text("secret")
    home = root / "home/nobody"
    home.mkdir(mode=0o700)
    target = Target("volume", str(root / "repository"))
    config = config_of(root, target, sources=(str(root / "home"), "/etc/passwd"))
    program = restic_program()
    restic = Restic(target, program=program, place=root / "etc", state=root / "state", cache=root / "cache")
    (root / "state/databases").mkdir()
    fill(home)
    subprocess.run(["chown", "-hR", f"{NOBODY.pw_uid}:{NOBODY.pw_gid}", str(home)], check=True)
    return config, restic


def impatient(root: Path, target: Target) -> Restic:
    """Waits seconds for a lock, not 40 minutes."""
    return Restic(
        target,
        program=restic_program(),
        place=root / "etc",
        state=root / "state",
        cache=root / "cache",
        lock_wait="1s",
        lock_tries=2,
    )


def fill(home: Path) -> None:
    labs = home / "labs"
    (labs / "empty").mkdir(parents=True)
    (labs / "lab.ipynb").write_text("{}")
    (labs / "link").symlink_to("lab.ipynb")
    (labs / "broken").symlink_to("/nowhere")
    os.link(labs / "lab.ipynb", labs / "hard")
    (labs / "we*ird [1]?.txt").write_text("x")
    Path(os.fsdecode(bytes(labs) + b"/\xff\xfe")).write_text("bytes")
    (labs / "secret").write_text("s")
    (labs / "secret").chmod(0o400)
    os.mkfifo(labs / "pipe")
    with (labs / "sparse").open("wb") as sparse:
        sparse.truncate(64 << 20)
        sparse.seek(32 << 20)
        sparse.write(b"middle")
    socket.socket(socket.AF_UNIX).bind(str(labs / "s"))
    os.utime(labs / "lab.ipynb", ns=(1, 1_700_000_000_123_456_789))
    (labs / "empty").chmod(0o2750)
