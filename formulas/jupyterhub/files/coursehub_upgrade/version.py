"""Saves the version that serves, and puts it back."""

from __future__ import annotations

import grp
import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

from coursehub_upgrade import database, phase, timers
from coursehub_upgrade.config import Config
from coursehub_upgrade.programs import UpgradeError, quietly, run
from coursehub_upgrade.trees import mirror

#: Marks an environment that a saved version needs; salt/_utils/coursehub_uv.py does not remove it.
KEPT = ".kept"
#: Bytes that stay reserved while a saved version exists, so that it can be put back on a full disk.
RESERVE = 64 << 20
PROXY_UNIT = Path("/etc/systemd/system/jupyterhub-proxy.service")
#: Seconds that a unit's start may take.
START = 150


def save(config: Config) -> None:
    """Save what serves now, in place of an older saved version. Raises OSError, for example on a full disk."""
    fresh = config.place / "before.new"
    shutil.rmtree(fresh, ignore_errors=True)
    (fresh / "files").mkdir(mode=0o700, parents=True)
    for path in config.saved:
        copy = fresh / "files" / path.relative_to("/")
        copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        mirror(path, copy, config.parents)
    if config.database.exists():
        database.copy(config.database, fresh / "database.sqlite")
    (fresh / "check-groups").write_text(" ".join(_groups_of(config.check)))
    with (fresh / "reserve").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, RESERVE)
    run(["sync", "--file-system", fresh], seconds=300)
    served = {path for path in config.environments() if path in _linked(config)}
    for path in served:
        (path / KEPT).touch()
    shutil.rmtree(config.before, ignore_errors=True)
    fresh.rename(config.before)
    for path in config.environments():
        if path not in served:
            (path / KEPT).unlink(missing_ok=True)


def _groups_of(account: str) -> list[str]:
    return [entry.gr_name for entry in grp.getgrall() if account in entry.gr_mem]


def _check_may_sign_in(config: Config) -> None:
    """Put the account of `check` into the groups of the version before, which may not know the newer ones."""
    saved = (config.before / "check-groups").read_text().split()
    missing = sorted(set(saved) - set(_groups_of(config.check)))
    if missing:
        quietly(["usermod", "--append", "--groups", ",".join(missing), config.check])


def _linked(config: Config) -> set[Path]:
    """The environments to which links point now."""
    links = [parent / "current" for parent in config.parents] + [config.course / "env"]
    return {link.resolve() for link in links if link.is_symlink()}


def names(config: Config) -> dict[str, str]:
    """What serves now: JupyterHub's version, and the names of the environments."""
    found = {link: str((path).resolve().name) for link, path in _links(config).items() if path.exists()}
    packages = (config.hub / "hub/current").glob("lib/python3*/site-packages/jupyterhub-*.dist-info")
    version = next((path.name.removeprefix("jupyterhub-").removesuffix(".dist-info") for path in packages), None)
    return {**found, **({"jupyterhub": version} if version else {})}


def _links(config: Config) -> dict[str, Path]:
    return {"hub": config.hub / "hub/current", "proxy": config.hub / "proxy/current", "course": config.course / "env"}


def missing(config: Config) -> str:
    """Why the saved version cannot be put back; empty if it can."""
    if not config.before.is_dir():
        return "there is no version before; 'coursehub upgrade' saves one each time it changes something"
    for link in _links(config).values():
        saved = config.before / "files" / link.relative_to("/")
        if saved.is_symlink() and not (saved.readlink() / ".complete").exists():
            return f"the version before needs {saved.readlink()}, which is no longer on the server"
    return ""


def put_back(config: Config, reason: str, *, booting: bool = False) -> dict[str, Any]:
    """Put the saved version back. May be interrupted and repeated. While ``booting``, systemd starts the units.

    Students' units are not touched. Raises UpgradeError if there is no such version, or if its hub does not start.
    """
    if why := missing(config):
        raise UpgradeError(why)
    phase.write(config.place, phase.BACK, reason=reason)
    (config.before / "reserve").unlink(missing_ok=True)
    if not booting:
        # The proxy goes on, and shows that the hub is away for a moment.
        quietly(["systemctl", "stop", "jupyterhub.service", "jupyterhub-work.service"], START)
    timers.end(config)
    proxy = _links(config)["proxy"]
    served = proxy.resolve()
    lost = database.go_back(config.database, config.before / "database.sqlite")
    written = {
        path: mirror(config.before / "files" / path.relative_to("/"), path, config.parents) for path in config.saved
    }
    _check_may_sign_in(config)
    changed = {path for path, differs in written.items() if differs}
    run(["systemctl", "daemon-reload"])
    timers.begin(changed)
    if not booting:
        _start(changed, new_proxy=proxy.resolve() != served or PROXY_UNIT in changed)
    document = {"reason": reason, "serves": names(config), "lost": lost}
    config.went_back.write_text(json.dumps({**document, "at": time.time()}))
    phase.write(config.place, phase.IDLE)
    return document


def _start(changed: set[Path], *, new_proxy: bool) -> None:
    quietly(["systemd-tmpfiles", "--create", "/etc/tmpfiles.d/coursehub.conf"])
    if any("nftables" in str(path) or "firewall" in str(path) for path in changed):
        quietly(["systemctl", "reload-or-restart", "nftables.service"])
    # A restart interrupts everybody's websockets for a moment.
    quietly(["systemctl", "restart" if new_proxy else "start", PROXY_UNIT.name], START)
    quietly(["systemctl", "reset-failed", "jupyterhub.service", "jupyterhub-work.service"])
    quietly(["systemctl", "start", "jupyterhub-work.service"], START)
    if not quietly(["systemctl", "start", "jupyterhub.service"], START):
        raise UpgradeError(
            "the version before is in place again, but its hub does not start; 'coursehub logs' says why"
        )
    if any(str(path).startswith("/etc/nginx") for path in changed) and quietly(["nginx", "-t", "-q"]):
        quietly(["systemctl", "reload", "nginx.service"])
