"""An operating system of a few files: a shell that systemd-nspawn takes for systemd, started in milliseconds."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

# 38 is SIGRTMIN+4, systemd's signal to power off. The wait is in the background, otherwise the shell would not react.
INIT = """#!/bin/sh
echo "booted as $(cat /etc/hostname /proc/sys/kernel/hostname 2>/dev/null)" >> /story
trap 'echo "ordered down" >> /story; exit 0' 38
while :; do sleep 60 & wait; done
"""
STUBBORN = INIT.replace("exit 0", "true")


def make(root: Path, init: str = INIT) -> Path:
    """A machine's file tree; its init writes to /story what happened."""
    for program in ("sh", "cat", "sleep"):
        found = shutil.which(program, path="/usr/bin:/bin")
        assert found
        _copy(Path(found), root / "usr" / "bin" / program)
        listed = subprocess.run(["ldd", found], capture_output=True, text=True, check=True).stdout
        for library in re.findall(r"(/\S+)", listed):
            _copy(Path(library), root / library.lstrip("/"))
    for directory in ("etc", "var/lib", "lib/systemd"):
        (root / directory).mkdir(parents=True, exist_ok=True)
    (root / "bin").symlink_to("usr/bin")
    (root / "etc/os-release").write_text("ID=tiny\n")
    (root / "lib/systemd/systemd").write_text(init)
    (root / "lib/systemd/systemd").chmod(0o755)
    return root


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source.resolve(), target)
