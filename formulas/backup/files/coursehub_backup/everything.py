"""Restores a whole server onto a new one: accounts' passwords, the hub's database, shared directories, homes.

Each part is restored for itself: one that fails is named, and the others go on. It can be run again; then only what is
missing is restored. What somebody has used on this server is never replaced.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from coursehub_backup import accounts, choosing, hub_state, report, restoring, saving, state, trees, working
from coursehub_backup.config import Config
from coursehub_backup.numbers import Numbers, translation
from coursehub_backup.restic import Restic
from coursehub_backup.restoring import RestoreError, Version

UNIT = "coursehub-restore.service"
SHADOW = Path("/etc/shadow")


def _visible(directory: Path) -> list[Path]:
    return [one for one in directory.iterdir() if not one.name.startswith(".")] if directory.is_dir() else []


def start(config: Config, arguments: list[str]) -> None:
    """Start the restore as a unit of its own, which goes on without its caller. Raises RestoreError.

    If it runs already, nothing is started.
    """
    if is_running():
        return
    report.begin()
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
    return {"running": running, **state.read(report.RECORD)}


def run(config: Config, restics: Sequence[Restic], when: str | None, *, stop_servers: bool = False) -> bool:
    """Restore everything from one of these targets. Returns whether nothing is missing.

    With ``stop_servers`` the servers of people who work are ended; otherwise nothing is restored while somebody works.
    Raises one of ``report.FAILURES`` if no part can be restored.
    """
    # A backup waits until this has ended.
    with saving.alone():
        chosen = choosing.find(restics, config.server, when)
        restic = next(one for one in restics if one.target.name == chosen.target)
        return _Whole(config, restic, chosen, stop_servers=stop_servers).restore()


def directories(config: Config, restic: Restic, version: Version) -> list[tuple[str, Path, trees.Keep]]:
    """Each home and shared directory of a snapshot: its part's name, where it is put, and what of it is restored.

    Without homes of people who are not in the class any more. Raises ResticError, RestoreError.
    """
    return list(_Whole(config, restic, version).directories())


#: Brings a directory that was fetched again to where people find it. Gets the number of files that are missing still;
#: returns what the report says if there are none.
Put = Callable[[Path, int], dict[str, Any]]


class _Whole:
    """One restore of everything from one snapshot."""

    def __init__(self, config: Config, restic: Restic, version: Version, *, stop_servers: bool = False) -> None:
        self.config, self.restic, self.version = config, restic, version
        self.stop_servers = stop_servers
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
        self.left_out = self._left_out()
        directories = len(self.homes) + len(self.teams) + len(self.others) + len(self.left_out)
        self.report = report.Report(version, 4 + directories)

    def _left_out(self) -> list[str]:
        """The homes and teams' directories that were there, but not in the backup: there was too much in them."""
        group_of = {gid: name for name, gid in self.now.gids.items()}
        teams = [path for path in _visible(self.shared / "groups") if path.name not in self.teams]
        return [
            *(f"home {name}" for name in self.people if name in self.then.uids and name not in self.homes),
            *(f"directory {path.name}" for path in teams if group_of.get(path.stat().st_gid) in self.then.gids),
        ]

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
        if not self.stop_servers:
            working.need_nobody(self.config, self.version)
        systemctl("stop", self.config.whole.stop)
        try:
            # Also those of people who began just before the hub stopped; nobody can begin after that.
            working.end_servers(self.config)
            self._accounts_and_hub()
            for parent, names in ((self.shared / "groups", self.teams), (self.shared, self.others)):
                with self.report.around(f"unpacking in {parent}"), trees.place(parent) as work:
                    for name in names:
                        with self.report.part(f"directory {name}") as found:
                            self._directory(parent / name, work, found)
            homes = self.config.homes
            with self.report.around(f"unpacking in {homes}"), trees.place(homes) as work:
                for name in self.homes:
                    with self.report.part(f"home {name}") as found:
                        self._home(name, work, found)
            for name in self.left_out:
                with self.report.part(name) as found:
                    why = "too many files or too large empty ones, so this backup has none of it; an older one may"
                    found |= {"result": "skipped", "why": why}
        finally:
            systemctl("start", self.config.whole.stop)
        self.report.end()
        return self.report.complete

    def directories(self) -> Iterator[tuple[str, Path, trees.Keep]]:
        """See the function of this name."""
        for parent, names in ((self.shared / "groups", self.teams), (self.shared, self.others)):
            for name in names:
                yield f"directory {name}", parent / name, self._of_class(parent / name)
        for name in self.homes:
            if name in self.people:
                yield f"home {name}", self.config.homes / name, self._of_person(name)

    # -- what is not a directory -----------------------------------------------------------------------

    def _accounts_and_hub(self) -> None:
        whole = self.config.whole
        with self.report.part("passwords") as found:
            record = self._if_there(whole.record)
            count = accounts.restore(self.people, self._text("/etc/shadow"), record.decode(), whole.record, SHADOW)
            found["why"] = f"{count} passwords were set" if count else "no password had to be set"
        with self.report.part("database of the hub") as found:
            self._databases(found)
        with self.report.part("marks of who left") as found:
            self._file(whole.marks, hub_state.merge_marks, found)
        with self.report.part("log of openings") as found:
            self._file(whole.log, hub_state.join_log, found)

    def _databases(self, found: dict[str, Any]) -> None:
        if self.report.was(found["name"]) == "restored":
            self.report.keep_earlier(found)
            return
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
            self._what_was_missing(home, work, keep, found, put=self._into_home)
        elif home.exists() and (not trees.is_unused(home) or working.has_processes(uid)):
            self._beside(account, work, keep, found)
        else:
            self._in_place(home, work, keep, found)

    def _directory(self, present: Path, work: Path, found: dict[str, Any]) -> None:
        if trees.comes_from(present, self.version.snapshot):
            whole = present.with_name(f"{present.name} {self._label()}")
            self._what_was_missing(present, work, self._of_class(present), found, put=self._as(whole, "restored"))
        elif not present.exists() or trees.is_unused(present):
            self._in_place(present, work, self._of_class(present), found)
        elif present == self.shared / "shared" or present.parent.name == "groups":
            aside = present.with_name(f"{present.name} {self._label()}")
            where = f"it has files already; what the backup has is in {aside}"
            if aside.exists():
                # Root never writes into a directory that people can enter.
                whole = aside.with_name(f"{aside.name} whole")
                self._what_was_missing(
                    present,
                    work,
                    self._of_class(present),
                    found,
                    put=self._as(whole, "beside"),
                    known=("beside", where),
                )
                return
            self._in_place(present, work, self._of_class(present), found, to=aside)
            result = found["result"] if found["result"] == "partly" else "beside"
            found |= {"result": result, "why": "; ".join(filter(None, [where, found["why"]]))}
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
        found |= {"result": "partly" if missing else "restored", "why": "; ".join(_counts(missing, left_out))}

    def _what_was_missing(
        self,
        present: Path,
        work: Path,
        keep: trees.Keep,
        found: dict[str, Any],
        *,
        put: Put,
        known: tuple[str, ...] = (),
    ) -> None:
        """Try once more to read what an earlier run could not; ``put`` brings it there. Nothing there is replaced.

        ``known``: the result and the reason of a part of which the report knows nothing. If something is still missing,
        the new reason begins with that one.
        """
        if self.report.was(found["name"]) != "partly":
            self.report.keep_earlier(found, *known)
            return
        got = work / present.name
        said: list[str] = []
        done: dict[str, Any] = {}
        try:
            trees.make_like(got, present)
            missing = restoring.fetch_what_is_there(self.restic, self.version.snapshot, present, work)
            said += _counts(missing, 0)
            trees.settle(got, keep)
            done = put(got, missing)
        except report.FAILURES as error:
            # Still partly: a part that failed would be forgotten by the next run.
            said.append(str(error))
        finally:
            if got.exists():
                trees.remove(got)
        found |= {"result": "partly", "why": "; ".join([*known[1:], *said])} if said else done

    @staticmethod
    def _into_home(got: Path, _missing: int) -> dict[str, Any]:
        """Add what is missing to the home that an earlier run put in its place."""
        restoring.hand_over(got, got.name, got.parents[1], restoring.SKIP)
        return {"why": "what was missing is there now"}

    def _into_copy(self, got: Path, _missing: int) -> dict[str, Any]:
        """Add what is missing to the copy in a home that is in use."""
        copy = got.rename(got.with_name(self._label()))
        try:
            restoring.hand_over(copy, got.name, self.config.homes / got.name, restoring.SKIP)
        finally:
            copy.rename(got)
        why = f"it is in use on this server; all that the backup has is in its {self._label()!r} now"
        return {"result": "beside", "why": why}

    def _as(self, place: Path, result: str) -> Put:
        """Bring a whole directory to a place of its own."""

        def put(got: Path, missing: int) -> dict[str, Any]:
            if not missing:
                trees.swap(got, place, self.version.snapshot)
            return {"result": result, "why": f"the whole of it is in {place}"}

        return put

    def _beside(self, account: str, work: Path, keep: trees.Keep, found: dict[str, Any]) -> None:
        home = self.config.homes / account
        name = self._label()
        where = f"it is in use on this server; what the backup has is in its {name!r}"
        if os.path.lexists(home / name):
            self._what_was_missing(home, work, keep, found, put=self._into_copy, known=("beside", where))
            return
        got = work / account
        try:
            missing = restoring.fetch_what_is_there(self.restic, self.version.snapshot, home, work)
            left_out = trees.settle(got, keep)
            restoring.hand_over_as(got, account, home, name)
        finally:
            if got.exists():
                trees.remove(got)
        found |= {"result": "partly" if missing else "beside", "why": "; ".join([where, *_counts(missing, left_out)])}

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


def _counts(missing: int, left_out: int) -> list[str]:
    said = [f"{missing} files could not be read from the backup"] if missing else []
    return [*said, f"{left_out} files of others were left out"] if left_out else said


def systemctl(verb: str, units: tuple[str, ...]) -> None:
    """Start or stop units. Raises subprocess.CalledProcessError."""
    if units:
        subprocess.run(["systemctl", verb, *units], check=True, capture_output=True)
