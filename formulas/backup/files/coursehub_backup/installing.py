"""Installs restic: the server's own package, or the one of a newer Debian release if that is too old."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from coursehub_backup.config import Config

PROGRAM = "/usr/bin/restic"
#: The first version with ``--retry-lock``.
MINIMUM = (0, 16)
#: apt's package lists of the newer release. They are kept apart so that nothing else is installed from that release.
LISTS = Path("/var/lib/coursehub-restic")


def version() -> tuple[int, ...] | None:
    """The version of the installed restic; None if there is none."""
    if not shutil.which(PROGRAM):
        return None
    said = subprocess.run([PROGRAM, "version"], capture_output=True, text=True, check=False).stdout
    found = re.match(r"restic (\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2])) if found else None


def ensure(config: Config) -> None:
    """Install restic unless a new enough one is installed. Raises OSError with apt's last line."""
    have = version()
    if have and have >= MINIMUM:
        return
    options = _newer_release(config.restic_from) if config.restic_from else []
    _apt(*options, "update")
    _apt(*options, "install", "--yes", "--no-install-recommends", "restic")
    have = version()
    if not have or have < MINIMUM:
        raise OSError(f"restic is {have or 'not there'}, and at least 0.16 is needed")


def _newer_release(codename: str) -> list[str]:
    """Options for apt-get to use another Debian release, from the mirror that the server is configured with."""
    mirror = _mirror()
    if mirror is None:
        # apt tells it from its package lists, and there may be none yet.
        _apt("update")
        mirror = _mirror()
    if mirror is None:
        raise OSError("apt knows no Debian mirror")
    (LISTS / "lists/partial").mkdir(parents=True, exist_ok=True)
    source = LISTS / "newer.list"
    source.write_text(f"deb {mirror} {codename} main\n")
    return [
        *("-o", f"Dir::Etc::sourcelist={source}", "-o", "Dir::Etc::sourceparts=-"),
        *("-o", f"Dir::State::lists={LISTS}/lists"),
        *("-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache="),
    ]


def _mirror() -> str | None:
    asked = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(LABEL)", "Created-By: Packages"]
    rows = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.splitlines()
    return next((row.split()[0] for row in rows if row.split()[1:] == ["Debian"]), None)


def _apt(*arguments: str) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(
        ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=300", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("E:")]
        raise OSError(f"restic could not be installed: {(lines or ['apt-get failed'])[-1]}")
