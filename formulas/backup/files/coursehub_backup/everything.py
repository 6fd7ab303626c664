"""A whole server back: homes, what the class shares, the hub's database and secrets, and the passwords people chose."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import stat
import subprocess
import time
from pathlib import Path
from typing import Any

from coursehub_backup.config import Config
from coursehub_backup.restic import Restic
from coursehub_backup.restoring import at, hand_over, scratch, snapshots, weed


def restore_all(config: Config, restic: Restic, *, when: str | None) -> dict[str, Any]:
    """Bring everything of one snapshot onto this server. Files that are newer here and have other names stay.

    Raises RestoreError, ResticError and OSError. It can be run again.
    """
    began = time.monotonic()
    version = at(snapshots(restic), when)
    with scratch() as place:
        restic.run("restore", "--sparse", "--target", str(place), version.snapshot)
        fetched = time.monotonic()
        then = Then(place)
        homes, lost = _homes(config, place, then)
        _shared(config, place, then)
        _passwords(place)
        _hub(config, place)
    return {
        "at": version.at.isoformat(),
        "homes": homes,
        "without_account": lost,
        "seconds": {"fetched": round(fetched - began, 1), "total": round(time.monotonic() - began, 1)},
    }


class Then:
    """Who had which number when the backup was made, and has which one here."""

    def __init__(self, place: Path) -> None:
        self._users = _numbers(place / "etc/passwd")
        self._groups = _numbers(place / "etc/group")

    def uid(self, account: str) -> int | None:
        """The account's number then."""
        return next((number for number, name in self._users.items() if name == account), None)

    def uid_here(self, uid: int) -> int:
        """The number here of the account that had this number; root's where there is none."""
        try:
            return pwd.getpwnam(self._users[uid]).pw_uid
        except KeyError:
            return 0

    def gid_here(self, gid: int) -> int:
        """The same of a group."""
        try:
            return grp.getgrnam(self._groups[gid]).gr_gid
        except KeyError:
            return 0


def _numbers(path: Path) -> dict[int, str]:
    rows = [line.split(":") for line in path.read_text(errors="replace").splitlines()]
    return {int(row[2]): row[0] for row in rows if len(row) > 3}


def _below(place: Path, path: Path) -> Path:
    return place / str(path).lstrip("/")


def _homes(config: Config, place: Path, then: Then) -> tuple[int, list[str]]:
    """Each home, with its owner's rights; how many, and whose account is not here."""
    count, lost = 0, []
    root = _below(place, config.homes)
    for home in sorted(root.iterdir()) if root.is_dir() else ():
        uid = then.uid(home.name)
        if uid is None or home.is_symlink() or not home.is_dir():
            continue
        try:
            pwd.getpwnam(home.name)
        except KeyError:
            lost.append(home.name)
            continue
        weed(home, uid)
        if home.exists():
            hand_over(home, home.name, config.homes, replace=True)
            count += 1
    return count, lost


def _shared(config: Config, place: Path, then: Then) -> None:
    """What the class shares. Students may write in it, so what is there is replaced as a whole, by one rename each."""
    source = _below(place, config.shared)
    if not source.is_dir() or not config.shared.is_dir():
        return
    holding = config.shared / ".restoring"
    shutil.rmtree(holding, ignore_errors=True)
    holding.mkdir(mode=0o700)
    subprocess.run(["cp", "-a", "--sparse=auto", f"{source}/.", f"{holding}/"], check=True)
    _renumber(holding, then)
    old = holding / ".old"
    for name, into in _replaced(config.shared, holding):
        old.mkdir(exist_ok=True)
        if os.path.lexists(into):
            into.rename(old / f"{len(list(old.iterdir()))}")
        into.parent.mkdir(exist_ok=True)
        name.rename(into)
    shutil.rmtree(holding, ignore_errors=True)


def _replaced(shared: Path, holding: Path) -> list[tuple[Path, Path]]:
    """What is renamed into place: each directory, and each team's; parents of teams' directories stay."""
    found = []
    for entry in sorted(holding.iterdir()):
        if entry.name == "groups":
            found += [(team, shared / "groups" / team.name) for team in sorted(entry.iterdir())]
        elif entry.name in ("shared",):
            found.append((entry, shared / entry.name))
    return found


def _renumber(root: Path, then: Then) -> None:
    """Give all below a directory, which root alone can enter, to those who own it here."""
    for directory, names, files in os.walk(root):
        for path in (Path(directory, name) for name in [*names, *files]):
            found = path.lstat()
            os.chown(path, then.uid_here(found.st_uid), then.gid_here(found.st_gid), follow_symlinks=False)
            if not path.is_symlink():
                # A change of owner takes set-group-ID away, which teams' directories have.
                path.chmod(stat.S_IMODE(found.st_mode))


def _passwords(place: Path) -> None:
    """The passwords that people had, where they still have an account here; locked ones stay locked."""
    known = {}
    for line in _below(place, Path("/etc/shadow")).read_text(errors="replace").splitlines():
        name, _, rest = line.partition(":")
        known[name] = rest.partition(":")[0]
    lines = []
    for entry in pwd.getpwall():
        # A hash that was there; the system's accounts have none.
        if entry.pw_uid >= 1000 and known.get(entry.pw_name, "").startswith("$"):
            lines.append(f"{entry.pw_name}:{known[entry.pw_name]}\n")
    if lines:
        subprocess.run(["chpasswd", "--encrypted"], input="".join(lines), text=True, check=True)


def _hub(config: Config, place: Path) -> None:
    """The hub's secrets and its database, while the hub is stopped."""
    source = _below(place, config.hub_state)
    if not source.is_dir():
        return
    units = list(config.hub_units)
    subprocess.run(["systemctl", "stop", *units], check=True)
    try:
        # The link to the serving version of an environment and the like belong to this server.
        subprocess.run(["cp", "-a", f"{source}/.", f"{config.hub_state}/"], check=True)
        for database in config.databases:
            copy = _below(place, config.staged(database))
            if copy.exists():
                for suffix in ("-journal", "-wal", "-shm"):
                    Path(database + suffix).unlink(missing_ok=True)
                shutil.copyfile(copy, database)
                Path(database).chmod(0o600)
    finally:
        subprocess.run(["systemctl", "start", *units], check=True)
