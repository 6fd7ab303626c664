"""Directories that a class shares: one that everybody reads and teachers write, and one for each team.

The Unix group says who is in a team (``class_accounts``); this state only makes the group's directory, once. Everything
is compared in one pass and changed only where it differs. The directory of an empty team keeps its files, and nobody
can enter it. Homes belong to their owners, so the links there are made when a person's server starts.

POSIX ACLs are set in the kernel's format (linux/posix_acl_xattr.h): this takes a dozen lines, and setfacl would need a
package and a process for each directory.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from coursehub_subvolumes import make_directory

#: Salt puts it into a state module when it loads one.
__opts__: dict[str, Any]

FIRST_ID = 1000
OWNER, GROUP, NAMED_GROUP, MASK, OTHERS = 0x01, 0x04, 0x08, 0x10, 0x20
NOBODY = 0xFFFFFFFF
READ, ALL = 0o5, 0o7
ACCESS, DEFAULT = "system.posix_acl_access", "system.posix_acl_default"
# Only for root and the group; new files in it also belong to the group.
MODE = 0o2770


class _Directory(NamedTuple):
    """A directory as it should be; ``access`` and ``default`` are ACLs in the kernel's format."""

    path: Path
    gid: int
    mode: int
    access: bytes | None = None
    default: bytes | None = None

    def is_so(self) -> bool:
        """Return whether it exists with these rights."""
        return _is(self.path, self.gid, self.mode) and (
            self.mode != MODE or (_xattr(self.path, ACCESS), _xattr(self.path, DEFAULT)) == (self.access, self.default)
        )

    def make(self) -> None:
        """Make it, or set its rights. Raises OSError."""
        if not self.path.exists():
            self._create()
        os.chown(self.path, 0, self.gid)
        for name, value in ((ACCESS, self.access), (DEFAULT, self.default)):
            if value is not None:
                os.setxattr(self.path, name, value)
            elif _xattr(self.path, name) is not None:
                os.removexattr(self.path, name)
        self.path.chmod(self.mode)

    def _create(self) -> None:
        # What the class writes to can have a limit of its own; what holds such directories has none.
        if self.mode == MODE:
            make_directory(self.path)
        else:
            self.path.mkdir(mode=0o700, parents=True)


def managed(name: str, readers: str = "class", writers: Sequence[str] = (), team_prefix: str = "") -> dict[str, Any]:
    """Make ``name``/shared and ``name``/groups/TEAM.

    name
        Directory above both.
    readers
        Unix group whose members can read ``shared``.
    writers
        Unix groups whose members can also write there.
    team_prefix
        Each Unix group whose name begins with this gets a directory with the rest of the group's name. Its members can
        change each other's files; nobody else can enter.
    """
    ret: dict[str, Any] = {"name": name, "changes": {}, "result": True, "comment": ""}
    known = {entry.gr_name: entry for entry in grp.getgrall()}
    if readers not in known:
        ret["result"] = None if __opts__["test"] else False
        ret["comment"] = f"there is no Unix group {readers} yet"
        return ret
    teams = _teams(known, team_prefix)
    root = Path(name)
    wrong = [one for one in _directories(root, known, readers, writers, teams) if not one.is_so()]
    count = f"{len(teams)} teams' directories"
    if not wrong:
        ret["comment"] = f"shared and {count} are as they should be"
        return ret
    problems = []
    for one in wrong:
        what = "rights set" if one.path.exists() else "made"
        if not __opts__["test"]:
            try:
                one.make()
            except OSError as problem:
                problems.append(f"{one.path}: {problem.strerror}")
                continue
        ret["changes"][str(one.path)] = what
    ret["result"] = False if problems else (None if __opts__["test"] else True)
    ret["comment"] = "; ".join(problems) or f"shared and {count} were brought to what they should be"
    return ret


def _teams(known: Mapping[str, grp.struct_group], prefix: str) -> dict[str, grp.struct_group]:
    """Return the teams' groups by the name of their directory; an account's own group is not a team."""
    accounts = {entry.pw_name for entry in pwd.getpwall()}
    return {
        name.removeprefix(prefix): entry
        for name, entry in sorted(known.items())
        if prefix and name.startswith(prefix) and name != prefix and entry.gr_gid >= FIRST_ID and name not in accounts
    }


def _directories(
    root: Path,
    known: Mapping[str, grp.struct_group],
    readers: str,
    writers: Sequence[str],
    teams: Mapping[str, grp.struct_group],
) -> Iterator[_Directory]:
    """Yield each directory as it should be, parents first."""
    for path in (root, root / "groups"):
        yield _Directory(path, 0, 0o755)
    shared = _acl(READ, {known[group].gr_gid: ALL for group in writers if group in known})
    yield _Directory(root / "shared", known[readers].gr_gid, MODE, shared, shared)
    for team, entry in teams.items():
        # Without named groups the mode is enough. The default ACL opens new files to the group, whatever the umask is.
        yield _Directory(root / "groups" / team, entry.gr_gid, MODE, None, _acl(ALL, {}))


def _is(path: Path, gid: int, mode: int) -> bool:
    try:
        found = path.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (0, gid, mode)


def _xattr(path: Path, name: str) -> bytes | None:
    try:
        return os.getxattr(path, name)
    except OSError:
        return None


def _acl(group: int, named: Mapping[int, int]) -> bytes:
    """Return an ACL in the kernel's format: everything for the owner, the given rights for groups, none for others."""
    entries = [(OWNER, ALL, NOBODY), (GROUP, group, NOBODY)]
    entries += [(NAMED_GROUP, rights, gid) for gid, rights in sorted(named.items())]
    entries += [(MASK, ALL, NOBODY)] if named else []
    entries += [(OTHERS, 0, NOBODY)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
