"""Debian's own packages: what waits to be upgraded, the upgrade, and what needs a reboot after it."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from coursehub_upgrade.programs import UpgradeError

#: Seconds for the lists, the download and the installation.
LISTS, DOWNLOAD, INSTALL = 600, 1800, 3600
#: Also what an interrupted installation left without its configuration.
_PLANNED = re.compile(r"^(?:Inst|Conf) (\S+)", re.MULTILINE)
_REMOVED = re.compile(r"^Remv (\S+)", re.MULTILINE)
#: The configuration of this server is Salt's: a file that somebody changed stays.
_OPTIONS = ("-y", "-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold")
_REPLACED = re.compile(r"\s(/(?:usr|lib|lib64|bin|sbin)/\S+) \(deleted\)$", re.MULTILINE)


def look() -> dict[str, Any]:
    """Ask the mirror what is new. Changes nothing but the lists."""
    _apt("update", seconds=LISTS)
    planned = _apt("--simulate", *_OPTIONS, "full-upgrade", seconds=LISTS)
    return {"waiting": sorted(set(_PLANNED.findall(planned))), "reboot": reboot_reasons()}


def install() -> dict[str, Any]:
    """Download everything, then install it. Raises UpgradeError; run again, it goes on.

    Nothing is touched before everything is there. A change that would remove the packages of the hub is refused.
    """
    _apt("update", seconds=LISTS)
    planned = _apt("--simulate", *_OPTIONS, "full-upgrade", seconds=LISTS)
    removed = sorted(set(_REMOVED.findall(planned)) & {"nginx", "openssh-server", "python3", "nftables", "systemd"})
    if removed:
        raise UpgradeError(
            f"Debian would remove {', '.join(removed)}, so nothing was installed; look at 'apt full-upgrade'"
        )
    packages = sorted(set(_PLANNED.findall(planned)))
    if packages:
        _apt("--download-only", *_OPTIONS, "full-upgrade", seconds=DOWNLOAD)
        _configure()
        _apt(*_OPTIONS, "full-upgrade", seconds=INSTALL)
    return {"installed": packages, "reboot": reboot_reasons()}


def _configure() -> None:
    """Finish what an interrupted installation left. apt says what is still wrong after it."""
    subprocess.run(
        # Without these a file that somebody changed is a question, and nobody answers.
        ["dpkg", "--force-confdef", "--force-confold", "--configure", "-a"],
        env=_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=INSTALL,
        check=False,
    )


def _environment() -> dict[str, str]:
    return {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}


def _apt(*arguments: str, seconds: float) -> str:
    try:
        done = subprocess.run(
            ["apt-get", "-q", *arguments],
            env=_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise UpgradeError(f"apt did not end within {seconds / 60:.0f} minutes") from error
    errors = [line for line in (done.stderr + done.stdout).splitlines() if line.startswith("E: ")]
    if done.returncode:
        raise UpgradeError(errors[0] if errors else f"apt ended with {done.returncode}")
    return done.stdout


def reboot_reasons(root: Path = Path("/")) -> list[str]:
    """Why the server needs a reboot; a new kernel, and programs that cannot be restarted without one."""
    return sorted(set(_reasons(root)))


def _reasons(root: Path) -> Iterator[str]:
    running = os.uname().release
    kernels = {path.name.removeprefix("vmlinuz-") for path in (root / "boot").glob("vmlinuz-*")}
    # In a container there is no kernel of its own.
    if kernels and running in kernels and max(kernels, key=_numbers) != running:
        yield f"kernel {max(kernels, key=_numbers)} is installed, {running} runs"
    elif kernels and running not in kernels and not (root / "run/systemd/container").exists():
        yield f"kernel {running} runs and is no longer installed"
    noted = root / "run/reboot-required.pkgs"
    if noted.exists():
        yield from (f"{name} asks for it" for name in noted.read_text().split())
    elif (root / "run/reboot-required").exists():
        yield "a package asks for it"
    for name in _old_programs(root / "proc"):
        yield f"{name} still runs files that were replaced"


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]


def _old_programs(proc: Path) -> Iterator[str]:
    """The first process and the message bus: coursehub-renew restarts everything else."""
    for process in proc.glob("[0-9]*"):
        try:
            name = (process / "comm").read_text().strip()
            if (process.name == "1" or name in ("dbus-daemon", "dbus-broker")) and _REPLACED.search(
                (process / "maps").read_text(errors="replace")
            ):
                yield name
        except OSError:
            continue
