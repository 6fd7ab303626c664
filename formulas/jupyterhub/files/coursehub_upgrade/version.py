"""Saves the version that serves, and puts it back."""

from __future__ import annotations

import contextlib
import grp
import json
import os
import shutil
import sqlite3
import time
from pathlib import Path
from typing import Any

from coursehub_upgrade import database, phase, timers
from coursehub_upgrade.config import Config
from coursehub_upgrade.programs import UpgradeError, quietly, run
from coursehub_upgrade.trees import mirror, same

#: Marks an environment that a saved version needs; salt/_utils/coursehub_uv.py does not remove it.
KEPT = ".kept"
#: Bytes that stay reserved while a saved version exists, so that it can be put back on a full disk.
RESERVE = 64 << 20
PROXY_UNIT = Path("/etc/systemd/system/jupyterhub-proxy.service")
HUB = ("jupyterhub.service", "jupyterhub-work.service")
#: Seconds that a unit's start may take.
START = 150
#: Seconds for writing to the disk what is still in memory.
SYNC = 300


def save(config: Config, to: Path | None = None) -> None:
    """Save what serves now, in place of what is in ``to`` (default: the version before).

    Raises OSError, for example on a full disk.
    """
    to = to or config.before
    fresh = config.place / f"{to.name}.new"
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
    run(["sync", "--file-system", fresh], seconds=SYNC)
    # Before the saved version has its name: it must not lose one of them meanwhile.
    for path in _linked(config):
        (path / KEPT).touch()
    _remove(to)
    fresh.rename(to)
    _mark(config)


def _remove(saved: Path) -> None:
    """Remove a saved version. If this is interrupted, no part of it keeps its name: it would count as a version."""
    gone = saved.with_name(f"{saved.name}.gone")
    shutil.rmtree(gone, ignore_errors=True)
    if saved.is_dir():
        saved.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)


def _mark(config: Config) -> None:
    """Mark the environments that the saved versions need, and no others."""
    needed = _linked(config, config.before / "files") | _linked(config, config.switch / "files")
    for path in config.environments():
        if path in needed:
            (path / KEPT).touch()
        else:
            (path / KEPT).unlink(missing_ok=True)


def settle(config: Config) -> None:
    """End an upgrade: what served when it began becomes the version before. May be interrupted and repeated.

    If only settings changed, an older version stays the version before: it is the one that differs.
    """
    if not config.switch.is_dir():
        return
    if _serves(config, config.switch) and config.before.is_dir() and not _serves(config, config.before):
        _remove(config.switch)
    else:
        _remove(config.before)
        config.switch.rename(config.before)
    _mark(config)


def _serves(config: Config, saved: Path) -> bool:
    """Whether a saved version has the programs and environments that serve now, perhaps with other settings."""
    programs = saved / "files" / config.hub.relative_to("/")
    return _linked(config, saved / "files") == _linked(config) and same(programs, config.hub, config.parents)


def _groups_of(account: str) -> list[str]:
    return [entry.gr_name for entry in grp.getgrall() if account in entry.gr_mem]


def _check_may_sign_in(config: Config, saved: Path) -> None:
    """Put the account of `check` into the groups of a saved version, which may not know the newer ones."""
    groups = (saved / "check-groups").read_text().split()
    missing = sorted(set(groups) - set(_groups_of(config.check)))
    if missing:
        quietly(["usermod", "--append", "--groups", ",".join(missing), config.check])


def _linked(config: Config, root: Path = Path("/")) -> set[Path]:
    """The environments to which links point, now or in the files of a saved version."""
    links = [parent / "current" for parent in config.parents] + [config.course / "env"]
    found = [root / link.relative_to("/") for link in links]
    return {link.resolve() for link in found if link.is_symlink()}


def names(config: Config, root: Path = Path("/")) -> dict[str, str]:
    """What serves now, or what is in a saved version's files: JupyterHub's version, the names of the environments."""
    links = {link: root / path.relative_to("/") for link, path in _links(config).items()}
    found = {link: str(path.resolve().name) for link, path in links.items() if path.exists()}
    packages = links["hub"].glob("lib/python3*/site-packages/jupyterhub-*.dist-info")
    version = next((path.name.removeprefix("jupyterhub-").removesuffix(".dist-info") for path in packages), None)
    return {**found, **({"jupyterhub": version} if version else {})}


def _links(config: Config) -> dict[str, Path]:
    return {"hub": config.hub / "hub/current", "proxy": config.hub / "proxy/current", "course": config.course / "env"}


def missing(config: Config) -> str:
    """Why the saved version cannot be put back; empty if it can."""
    back = way_back(config)
    if not back.is_dir():
        return "there is no version before; 'coursehub upgrade' saves one each time it changes something"
    for link in _links(config).values():
        saved = back / "files" / link.relative_to("/")
        if saved.is_symlink() and not (saved.readlink() / ".complete").exists():
            return f"the version before needs {saved.readlink()}, which is no longer on the server"
    return ""


def saved_facts(config: Config) -> dict[str, Any]:
    """What would be put back: what it serves, and when it was saved (Unix time). Empty if there is nothing."""
    back = way_back(config)
    if not back.is_dir():
        return {}
    return {"serves": names(config, back / "files"), "at": (back / "check-groups").stat().st_mtime}


def way_back(config: Config) -> Path:
    """The saved version to put back: while an upgrade is under way, what served when it began."""
    under_way = phase.read(config.place)[0] in (phase.SWITCHING, phase.BACK)
    return config.switch if under_way and config.switch.is_dir() else config.before


def put_back(config: Config, reason: str, *, booting: bool = False) -> dict[str, Any]:
    """Put the saved version back. May be interrupted and repeated. While ``booting``, systemd starts the units.

    Students' units are not touched. Raises UpgradeError if there is no such version, if it cannot be put back, or if
    its hub does not start.
    """
    if phase.read(config.place)[0] not in (phase.SWITCHING, phase.BACK):
        # What a power cut left.
        settle(config)
    if why := missing(config):
        raise UpgradeError(why)
    saved = way_back(config)
    # First of all: on a full disk even the phase needs its room.
    (saved / "reserve").unlink(missing_ok=True)
    phase.write(config.place, phase.BACK, reason=reason)
    # The hub serves meanwhile: the service of a timer may take its time to stop.
    timers.end(config, saved)
    if not booting:
        # The proxy goes on, and shows that the hub is away for a moment.
        quietly(["systemctl", "stop", *HUB], START)
    proxy = _links(config)["proxy"].resolve()
    try:
        document, changed = _replace(config, saved, reason)
    except (OSError, sqlite3.Error, UpgradeError) as error:
        raise UpgradeError(_serve_what_is_there(config, error, reason, booting=booting)) from error
    timers.begin(changed)
    if not booting:
        new_proxy = _links(config)["proxy"].resolve() != proxy or PROXY_UNIT in changed
        if not _start(changed, new_proxy=new_proxy):
            raise UpgradeError(
                "the version before is in place again, but its hub does not start; 'coursehub logs' says why"
            )
    done(config)
    settle(config)
    return document


def done(config: Config) -> None:
    """Note that nothing is under way. What was written must survive a power cut before: nobody writes it again."""
    quietly(["sync", "--file-system", config.place, *(path for path in config.saved if path.exists())], SYNC)
    phase.write(config.place, phase.IDLE)


def _replace(config: Config, saved: Path, reason: str) -> tuple[dict[str, Any], set[Path]]:
    """Write what was saved; returns what ``put_back`` does, and the paths that changed."""
    # What may fail comes first. The database changes only together with the hub that reads it.
    old = database.prepare(config.database, saved / "database.sqlite")
    changed, failed = set(), []
    for path in config.saved:
        try:
            if mirror(saved / "files" / path.relative_to("/"), path, config.parents, share=True):
                changed.add(path)
        except OSError as error:
            # The more of the version is there, the better it works.
            failed.append(error)
    hub = _links(config)["hub"]
    if hub.resolve() == (saved / "files" / hub.relative_to("/")).resolve():
        old.replace()
    else:
        # The newer hub starts again, with everything that people did.
        old.forget()
    if failed:
        raise UpgradeError("; ".join(filter(None, (str(failed[0]), old.lost))))
    _check_may_sign_in(config, saved)
    run(["systemctl", "daemon-reload"])
    document = {"reason": reason, "serves": names(config), "lost": old.lost}
    phase.replace(config.went_back, json.dumps({**document, "at": time.time()}))
    return document, changed


def _serve_what_is_there(config: Config, error: Exception, reason: str, *, booting: bool) -> str:
    """Start the hub although the saved version could not be put back; returns a line that says so.

    Notes in the phase that it serves: then only a person tries again, as each try interrupts everybody.
    """
    why = f"the version before could not be put back ({' '.join(str(error).split())})"
    then = "mend that, then run 'coursehub rollback' again"
    if not booting:
        quietly(["systemctl", "daemon-reload"])
    # Those that were stopped, as far as they are still there.
    timers.begin(config.saved)
    if booting:
        return f"{why}, so the boot starts what is there; {then}"
    if not _start(set(config.saved), new_proxy=True):
        return f"{why}, and no hub starts with what is there; {then}"
    with contextlib.suppress(OSError):
        phase.write(config.place, phase.BACK, reason=reason, hub_serves=True)
    return (
        f"{why}, so the hub serves with what is there, JupyterHub {names(config).get('jupyterhub', 'unknown')}; {then}"
    )


def _start(changed: set[Path], *, new_proxy: bool) -> bool:
    """Start the hub; returns whether it started."""
    quietly(["systemd-tmpfiles", "--create", "/etc/tmpfiles.d/coursehub.conf"])
    if any("nftables" in str(path) or "firewall" in str(path) for path in changed):
        quietly(["systemctl", "reload-or-restart", "nftables.service"])
    # A restart interrupts everybody's websockets for a moment.
    quietly(["systemctl", "restart" if new_proxy else "start", PROXY_UNIT.name], START)
    quietly(["systemctl", "reset-failed", *HUB])
    quietly(["systemctl", "start", "jupyterhub-work.service"], START)
    if not quietly(["systemctl", "start", "jupyterhub.service"], START):
        return False
    if any(str(path).startswith("/etc/nginx") for path in changed) and quietly(["nginx", "-t", "-q"]):
        quietly(["systemctl", "reload", "nginx.service"])
    return True
