"""Restores a whole server onto a new one: accounts' passwords, the hub's database, shared directories, homes.

Each part is restored for itself: one that fails is named, and the others go on. It can be run again; then only what is
missing is restored. What somebody has used on this server is never replaced.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from coursehub_backup import accounts, hub_state, restoring, saving, state, trees
from coursehub_backup.config import STATE, Config
from coursehub_backup.numbers import Numbers, translation
from coursehub_backup.restic import Restic, ResticError
from coursehub_backup.restoring import RestoreError, Version

RECORD = STATE / "everything.json"
UNIT = "coursehub-restore.service"
SHADOW = Path("/etc/shadow")
#: A newest backup with a smaller part of another server's data is probably one of a server that was never filled.
SUSPICIOUS = 0.5
_FAILURES = (ResticError, RestoreError, OSError, sqlite3.Error, subprocess.SubprocessError, ValueError, LookupError)


class Report:
    """What has been done, in a file of root that the teacher's computer asks for."""

    def __init__(self, version: Version, total: int) -> None:
        self._path = RECORD
        self._found: dict[str, Any] = {
            "snapshot": version.snapshot,
            "at": version.at.isoformat(),
            "began": time.time(),
            "ended": None,
            "total": total,
            "now": "",
            "parts": [],
        }

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[dict[str, Any]]:
        """One part. The block fills in ``result`` and ``why``; an error in it is the part's result."""
        began = time.time()
        found: dict[str, Any] = {"name": name, "result": "restored", "why": ""}
        self._found["now"] = name
        state.write(self._found, self._path)
        try:
            yield found
        except _FAILURES as error:
            found |= {"result": "failed", "why": str(error)}
        found["seconds"] = round(time.time() - began, 1)
        self._found["parts"].append(found)
        # Only numbers: people's names must not be in the journal.
        print(f"part {len(self._found['parts'])} of {self._found['total']}: {found['result']}", flush=True)

    @property
    def failed(self) -> bool:
        """Whether a part failed."""
        return any(one["result"] == "failed" for one in self._found["parts"])

    def end(self) -> None:
        """Write that all was tried."""
        self._found |= {"ended": time.time(), "now": ""}
        state.write(self._found, self._path)


def choose(versions: list[Version], server: str, when: str | None) -> Version:
    """The snapshot to restore: the newest of another server, or the newest at ``when``. Raises RestoreError.

    The new server's own snapshots are used only if there are no others. Without ``when``, a newest snapshot with much
    less in it than another server's last one is refused.
    """
    others = [one for one in versions if one.server != server] or versions
    chosen = restoring.at(others, when)
    if when is None and chosen.size is not None:
        last: dict[str, Version] = {}
        for one in others:
            last.setdefault(one.server, one)
        for one in last.values():
            if one.size is not None and chosen.size < SUSPICIOUS * one.size:
                raise RestoreError(
                    f"the newest backup, of {chosen.at:%Y-%m-%d %H:%M}, has only {chosen.size / 1e6:.1f} MB, and the "
                    f"last one of another server, of {one.at:%Y-%m-%d %H:%M}, has {one.size / 1e6:.1f} MB; say which "
                    f"with --at, such as --at '{one.at:%Y-%m-%d %H:%M:59}'"
                )
    return chosen


def listing(versions: list[Version], server: str) -> list[dict[str, Any]]:
    """The snapshots, the newest first, each with its server (empty: this one) and the bytes in it."""
    return [
        {"at": one.at.isoformat(), "server": one.server[:8] if one.server != server else "", "size": one.size}
        for one in versions
    ]


def has_work(config: Config) -> bool:
    """Whether anybody has left a file on this server, except what a new home has."""
    homes = [one for one in _visible(config.homes) if one.name not in config.whole.except_for]
    shared = [config.whole.shared / "shared", *_visible(config.whole.shared / "groups")]
    return not all(trees.is_unused(one) for one in (*homes, *shared) if one.is_dir())


def _visible(directory: Path) -> list[Path]:
    return [one for one in directory.iterdir() if not one.name.startswith(".")] if directory.is_dir() else []


def start(config: Config, arguments: list[str]) -> None:
    """Start the restore as a unit of its own, which goes on without its caller. Raises RestoreError.

    If it runs already, nothing is started.
    """
    if is_running():
        return
    # Only the unit of the first backup makes it.
    RECORD.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    RECORD.unlink(missing_ok=True)
    # However the restore ends, the hub starts again.
    again = f"ExecStopPost=/usr/bin/systemctl start --no-block {' '.join(config.whole.stop)}"
    argv = ["systemd-run", "--quiet", "--collect", f"--unit={UNIT}", f"--property={again}", "--property=Nice=5"]
    # On a new server restic may be on its way.
    argv += [f"--property={key}=coursehub-restic.service" for key in ("Wants", "After")]
    argv += ["/usr/local/sbin/coursehub-backup", "restore-now", *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RestoreError(f"the restore could not be started: {done.stderr.strip()}")


def is_running() -> bool:
    """Whether a restore of the whole server runs."""
    shown = subprocess.run(["systemctl", "is-active", UNIT], capture_output=True, text=True, check=False).stdout
    return shown.strip() in ("active", "activating", "deactivating")


def progress() -> dict[str, Any]:
    """What was done so far, and whether the restore still runs."""
    running = is_running()
    return {"running": running, **state.read(RECORD)}


def run(config: Config, restic: Restic, when: str | None) -> bool:
    """Restore everything. Returns whether no part failed. Raises what no part can be restored without."""
    try:
        # A backup waits until this has ended.
        with saving.alone():
            _need_nobody_works(config)
            chosen = choose(restoring.snapshots(restic), config.server, when)
            return _Whole(config, restic, chosen).restore()
    except _FAILURES as error:
        state.write({**state.read(RECORD), "error": str(error), "ended": time.time()}, RECORD)
        raise


def _need_nobody_works(config: Config) -> None:
    shown = subprocess.run(
        ["systemctl", "list-units", "--plain", "--no-legend", "--state=active", config.whole.servers],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    ours = {config.whole.servers.replace("*", account) for account in config.whole.except_for}
    working = [line.split()[0] for line in shown.splitlines() if line.split()[0] not in ours]
    if working:
        raise RestoreError(
            f"{len(working)} people work on this server now, and restoring everything stops the hub; restore what one "
            "of them misses with --user and --path, or wait until nobody works"
        )


class _Whole:
    """One restore of everything from one snapshot."""

    def __init__(self, config: Config, restic: Restic, version: Version) -> None:
        self.config, self.restic, self.version = config, restic, version
        self.then = Numbers.of(self._text("/etc/passwd"), self._text("/etc/group"))
        self.now = Numbers.here()
        self.numbers = translation(self.then, self.now)
        locked = accounts.locked(SHADOW.read_text())
        ours = self.now.members.get(config.whole.group, frozenset()) - set(config.whole.except_for)
        self.people = sorted(account for account in ours if account not in locked)
        self.homes = [name for name in self._children(config.homes) if name not in config.whole.except_for]
        self.shared = config.whole.shared
        self.teams = self._children(self.shared / "groups")
        self.others = [name for name in self._children(self.shared) if name != "groups"]
        self.report = Report(version, 4 + len(self.homes) + len(self.teams) + len(self.others))

    def _text(self, path: str) -> str:
        return self._content(path).decode(errors="replace")

    def _content(self, path: str) -> bytes:
        return self.restic.run("dump", self.version.snapshot, path).stdout

    def _children(self, directory: Path) -> list[str]:
        """The directories directly in a directory of the snapshot; hidden ones are unfinished and left out."""
        said = self.restic.run("ls", "--json", self.version.snapshot, str(directory)).stdout
        nodes = [json.loads(line) for line in said.splitlines()]
        found = [Path(node["path"]) for node in nodes if node.get("type") == "dir"]
        return sorted(path.name for path in found if path.parent == directory and not path.name.startswith("."))

    def restore(self) -> bool:
        systemctl("stop", self.config.whole.stop)
        try:
            self._accounts_and_hub()
            for parent, names in ((self.shared / "groups", self.teams), (self.shared, self.others)):
                with trees.place(parent) as work:
                    for name in names:
                        with self.report.part(f"directory {name}") as found:
                            self._directory(parent / name, work, found)
            with trees.place(self.config.homes) as work:
                for name in self.homes:
                    with self.report.part(f"home {name}") as found:
                        self._home(name, work, found)
        finally:
            systemctl("start", self.config.whole.stop)
        self.report.end()
        return not self.report.failed

    # -- what is not a directory -----------------------------------------------------------------------

    def _accounts_and_hub(self) -> None:
        whole = self.config.whole
        with self.report.part("passwords") as found:
            record = self._if_there(whole.record)
            count = accounts.restore(self.people, self._text("/etc/shadow"), record.decode(), whole.record, SHADOW)
            found["why"] = f"{count} people have the password that they chose"
        with self.report.part("database of the hub") as found:
            self._databases(found)
        with self.report.part("marks of who left") as found:
            self._file(whole.marks, hub_state.merge_marks, found)
        with self.report.part("log of openings") as found:
            self._file(whole.log, hub_state.join_log, found)

    def _databases(self, found: dict[str, Any]) -> None:
        for database in map(Path, self.config.databases):
            if database.exists() and hub_state.is_used(database, self.config.whole.except_for):
                found |= {"result": "kept", "why": "people have signed in to this server already"}
            else:
                hub_state.put_database(self._content(str(self.config.staged(str(database)))), database)

    def _file(self, path: Path, put: Callable[[bytes, Path], None], found: dict[str, Any]) -> None:
        content = self._if_there(path)
        if content:
            put(content, path)
        else:
            found |= {"result": "skipped", "why": "the backup has none"}

    def _if_there(self, path: Path) -> bytes:
        """The content of a file of the snapshot; empty if it is not in it."""
        said = self.restic.run("ls", "--json", self.version.snapshot, str(path)).stdout
        there = any(json.loads(line).get("path") == str(path) for line in said.splitlines())
        return self._content(str(path)) if there else b""

    # -- directories -----------------------------------------------------------------------------------

    def _home(self, account: str, work: Path, found: dict[str, Any]) -> None:
        home, uid = self.config.homes / account, self.now.uids.get(account)
        if account not in self.people or uid is None:
            found |= {"result": "skipped", "why": "this account is locked, or not in the class any more"}
            return
        keep = self._of_person(account)
        if trees.comes_from(home, self.version.snapshot):
            found["why"] = "by an earlier run"
        elif home.exists() and (not trees.is_unused(home) or has_processes(uid)):
            self._beside(account, work, keep, found)
        else:
            self._in_place(home, work, keep, found)

    def _directory(self, present: Path, work: Path, found: dict[str, Any]) -> None:
        if trees.comes_from(present, self.version.snapshot):
            found["why"] = "by an earlier run"
        elif not present.exists() or trees.is_unused(present):
            self._in_place(present, work, self._of_class(present), found)
        elif present == self.shared / "shared" or present.parent.name == "groups":
            aside = present.with_name(f"{present.name} {self._label()}")
            if not aside.exists():
                self._in_place(present, work, self._of_class(present), found, to=aside)
            found |= {"result": "beside", "why": f"it has files already; what the backup has is in {aside}"}
        else:
            found |= {"result": "kept", "why": "apply has made it"}

    def _in_place(
        self, present: Path, work: Path, keep: trees.Keep, found: dict[str, Any], to: Path | None = None
    ) -> None:
        new = work / present.name
        try:
            trees.make_like(new, present)
            missing = restoring.fetch_what_is_there(self.restic, self.version.snapshot, present, work)
            left_out = trees.settle(new, keep)
            if not trees.swap(new, to or present, self.version.snapshot):
                raise RestoreError("somebody began to use it just now; run this again")
        finally:
            if new.exists():
                trees.remove(new)
        said = [f"{missing} files could not be read from the backup"] if missing else []
        said += [f"{left_out} files of others were left out"] if left_out else []
        found |= {"result": "partly" if missing else "restored", "why": "; ".join(said)}

    def _beside(self, account: str, work: Path, keep: trees.Keep, found: dict[str, Any]) -> None:
        home = self.config.homes / account
        name = self._label()
        if not os.path.lexists(home / name):
            got = work / account
            try:
                restoring.fetch_what_is_there(self.restic, self.version.snapshot, home, work)
                trees.settle(got, keep)
                got = got.rename(work / name)
                restoring.hand_over(got, account, home, replace=False)
            finally:
                for path in (work / account, work / name):
                    if path.exists():
                        trees.remove(path)
        found |= {"result": "beside", "why": f"it is in use on this server; what the backup has is in its {name!r}"}

    def _label(self) -> str:
        return f"restored {self.version.at:%Y-%m-%d %H.%M.%S}"

    def _of_person(self, account: str) -> trees.Keep:
        """Only this person's files; a group stays if the person is in it here too."""
        uid_then, own = self.then.uids.get(account), self.now.gids[account]
        mine = {self.now.gids[name] for name, who in self.now.members.items() if account in who}

        def group(found: os.stat_result) -> int:
            gid = self.numbers.gid(found.st_gid)
            return gid if gid in mine and gid is not None else own

        return trees.Keep(
            lambda found: self.now.uids[account] if found.st_uid == uid_then else None, group, self.numbers
        )

    def _of_class(self, present: Path) -> trees.Keep:
        """What belongs to the directory's group or to one of its members; somebody who is not here any more is root."""
        top = self.restic_owner(present)
        group_name = next((name for name, gid in self.then.gids.items() if gid == top[1]), "")
        members = {self.then.uids.get(name) for name in self.then.members.get(group_name, ())} | {top[0], 0}

        def owner(found: os.stat_result) -> int | None:
            if found.st_uid not in members and found.st_gid != top[1]:
                return None
            return self.numbers.uid(found.st_uid) or 0

        return trees.Keep(owner, lambda found: self.numbers.gid(found.st_gid) or 0, self.numbers)

    def restic_owner(self, path: Path) -> tuple[int, int]:
        """The numbers of a directory's owner and group in the snapshot."""
        said = self.restic.run("ls", "--json", self.version.snapshot, str(path)).stdout
        for line in said.splitlines():
            node = json.loads(line)
            if node.get("path") == str(path):
                return int(node["uid"]), int(node["gid"])
        raise RestoreError(f"{path} is not in that backup")


def has_processes(uid: int) -> bool:
    """Whether any program runs with this number."""
    for path in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(OSError):
            # Not the owner of the directory: a process that hides its memory belongs to root there.
            lines = path.read_text(errors="replace").splitlines()
            line = next((line for line in lines if line.startswith("Uid:")), "")
            if str(uid) in line.split()[1:]:
                return True
    return False


def systemctl(verb: str, units: tuple[str, ...]) -> None:
    """Start or stop units. Raises subprocess.CalledProcessError."""
    if units:
        subprocess.run(["systemctl", verb, *units], check=True, capture_output=True)
