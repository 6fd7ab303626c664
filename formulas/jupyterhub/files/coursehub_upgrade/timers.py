"""Timers of a version, such as those that make images of servers and kernels, and the directories that they fill.

systemd keeps a timer that runs when its file is removed, and starts none because its file comes back.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from coursehub_upgrade.config import Config
from coursehub_upgrade.programs import quietly

#: Seconds that the service of a timer may take to stop.
STOP = 150


def end(config: Config, saved: Path) -> None:
    """Stop the timers that a saved version does not have, and empty their directories. Call it before they go."""
    going = [path for path in config.saved if path.is_file() and not (saved / "files" / path.relative_to("/")).exists()]
    for timer in _timers(going):
        units = [timer.name, timer.with_suffix(".service").name]
        quietly(["systemctl", "stop", *units], STOP)
        quietly(["systemctl", "reset-failed", *units])
    for path in _directories(going):
        quietly(["systemd-tmpfiles", "--remove", path])


def begin(changed: Collection[Path]) -> None:
    """Start the timers that came back, with their directories. Does not wait for them: systemd may be booting."""
    there = sorted(path for path in changed if path.is_file())
    for path in _directories(there):
        quietly(["systemd-tmpfiles", "--create", path])
    for timer in _timers(there):
        quietly(["systemctl", "start", "--no-block", timer.name])


def _timers(paths: Collection[Path]) -> list[Path]:
    return [path for path in paths if path.suffix == ".timer" and not path.is_symlink()]


def _directories(paths: Collection[Path]) -> list[Path]:
    return [path for path in paths if path.parent.name == "tmpfiles.d"]
