"""Material of a class: mirrors of git repositories, and data sets that are stored once for everybody."""

from __future__ import annotations

import contextlib
import datetime
import grp
import hashlib
import json
import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from coursehub_data import DataError, remove, store
from coursehub_files import write_whole
from salt.exceptions import CommandExecutionError

Facts = dict[str, Any]

#: Salt puts them into a state module when it loads one.
__opts__: dict[str, Any]
__salt__: dict[str, Callable[..., Any]]

UNIT = "coursehub-material.service"
STATUS = Path("/var/lib/coursehub-material/status.json")
RECORD = Path("/var/lib/coursehub/data.json")
# Kinds of problems that do not pass by themselves.
NEED_A_FIX = ("wrong", "server")


def mirrored(name: str, repositories: Mapping[str, Facts]) -> Facts:
    """Make a mirror of each repository below ``name``. The unit that the timer starts does the fetching.

    Existing mirrors are not fetched again: the timer fetches newer versions, and an apply that changes nothing asks no
    host. If a host is down, the state warns if the mirror exists, and otherwise fails. A wrong address, branch or key,
    or a server that cannot store the mirror, always fails the state, and an existing mirror stays.

    repositories
        ``{name: {url, branch, host_key, key}}``, the same as in the unit's configuration.
    """
    ret: Facts = {"name": name, "changes": {}, "result": True, "comment": ""}
    root, before = Path(name), _status()
    wanting = [one for one, entry in repositories.items() if _wants(root, one, entry, before.get(one, {}))]
    left = _entries(root, repositories)
    if wanting or left:
        if __opts__["test"]:
            ret["changes"] = {**dict.fromkeys(wanting, "would be fetched"), **dict.fromkeys(left, "would be removed")}
            ret.update(result=None, comment=f"{len(ret['changes'])} repositories would change")
            return ret
        _start()
        if any(_status().get(one, {}).get("entry") != repositories[one] for one in wanting):
            # The timer's run was already running, with the earlier configuration.
            _start()
    now = _status()
    problems = []
    for one, entry in repositories.items():
        status = now.get(one, {})
        if status.get("entry") != entry:
            problems.append(f"{one}: {UNIT} did not process it; 'journalctl -u {UNIT}' on the server says why")
            continue
        old, new = before.get(one, {}).get("commit"), status.get("commit")
        if (root / one / "HEAD").exists() and (old != new or one in wanting) and "problem" not in status:
            ret["changes"][one] = {"old": old, "new": new}
        trouble = status.get("problem")
        if not trouble:
            continue
        there = (
            f"students go on with {new[:7]} of {_moment(status['fetched'])}" if new else "students cannot have it yet"
        )
        line = f"{one}: {trouble['line']}; {there}"
        if trouble["kind"] in NEED_A_FIX or not new:
            problems.append(line)
        else:
            ret.setdefault("warnings", []).append(line)
    ret["changes"].update(dict.fromkeys(left, "removed"))
    ret["result"] = not problems
    lines = problems + [f"WARNING {line}" for line in ret.get("warnings", [])]
    ret["comment"] = "\n".join(lines) or ", ".join(f"{one} at {now[one]['commit'][:7]}" for one in repositories)
    return ret


def _moment(when: str) -> str:
    """Return a time in the server's own time zone, which is the course's."""
    return f"{datetime.datetime.fromisoformat(when).astimezone():%d %B %H:%M %Z}"


def _start() -> None:
    """Run the unit and wait for its end; the result is in its status."""
    with contextlib.suppress(CommandExecutionError):
        __salt__["service.start"](UNIT)


def _status() -> dict[str, Facts]:
    try:
        found: dict[str, Facts] = json.loads(STATUS.read_text())
    except (OSError, ValueError):
        return {}
    return found


def _wants(root: Path, name: str, entry: Facts, status: Facts) -> bool:
    return (
        status.get("entry") != entry
        or status.get("problem", {}).get("kind") in NEED_A_FIX
        or not (root / name / "HEAD").exists()
    )


def _entries(root: Path, wanted: Collection[str]) -> list[str]:
    try:
        return sorted(path.name for path in root.iterdir() if path.name not in wanted and not path.name.startswith("."))
    except OSError:
        return []


def data(name: str, sets: Mapping[str, Facts], group: str) -> Facts:
    """Store each data set below ``name``: owned by root, readable by ``group``, once for everybody.

    A set is replaced as a whole, and only by one with the right checksum. A set that is no longer listed is removed.

    sets
        ``{name: {source: https://... or salt://..., sha256: for https, unpack: false}}``
    """
    ret: Facts = {"name": name, "changes": {}, "result": True, "comment": ""}
    root, record, problems = Path(name), _record(), []
    try:
        gid = grp.getgrnam(group).gr_gid
    except KeyError:
        if not __opts__["test"]:
            ret.update(result=False, comment=f"there is no group {group}; it must be made first")
            return ret
        gid = -1
    wanted = {}
    for one, given in sets.items():
        try:
            wanted[one] = {"sha256": _wanted_digest(given), "unpack": given.get("unpack", False)}
        except DataError as problem:
            problems.append(f"{one}: {problem}")
    new = [one for one in wanted if record.get(one) != wanted[one] or not (root / one).exists()]
    gone = _entries(root, sets)
    closed = _closed(root, gid)
    changes = {**dict.fromkeys(new, "stored"), **dict.fromkeys(gone, "removed")}
    if closed:
        changes["readers"] = group
    if __opts__["test"]:
        ret["changes"] = changes
        ret["result"] = False if problems else None if changes else True
        ret["comment"] = "; ".join(problems) or f"{len(changes)} data sets would change"
        return ret
    if closed:
        root.mkdir(mode=0o750, parents=True, exist_ok=True)
        os.chown(root, 0, gid)
        root.chmod(0o750)
    for one in new:
        try:
            store(root, one, sets[one], wanted[one], _sent)
            record[one] = wanted[one]
        except DataError as problem:
            problems.append(f"{one}: {problem}")
            changes.pop(one)
    for one in gone:
        remove(root / one)
    record = {one: known for one, known in record.items() if one in sets}
    if changes:
        write_whole(RECORD, json.dumps(record))
    ret["changes"] = changes
    ret["result"] = not problems
    ret["comment"] = "; ".join(problems) or f"{', '.join(sets)} in {root}"
    return ret


def _record() -> dict[str, Facts]:
    try:
        found: dict[str, Facts] = json.loads(RECORD.read_text())
    except (OSError, ValueError):
        return {}
    return found


def _closed(root: Path, gid: int) -> bool:
    """Return whether the directory is missing or has wrong permissions."""
    try:
        found = root.stat()
    except OSError:
        return True
    return (found.st_uid, found.st_gid, found.st_mode & 0o7777) != (0, gid, 0o750)


def _wanted_digest(given: Facts) -> str:
    """Return the checksum that a set must have: the given one, or that of the file that was shipped with the states."""
    if not given["source"].startswith("salt://"):
        return str(given["sha256"])
    with _sent(given["source"]).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sent(source: str) -> Path:
    cached = __salt__["cp.cache_file"](source)
    if not cached:
        raise DataError(f"{source} is missing; put it there and apply again")
    return Path(cached)
