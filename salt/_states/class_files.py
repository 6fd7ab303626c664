"""Directories that a class shares: one that all read and its teachers write, and one for each team.

Who is in a team is the Unix group's matter (``class_accounts``); this state only makes the group's directory, once.
Everything is compared in one pass and touched only where it differs. A directory of a team that nobody is in any more
keeps its files, and nobody gets in. Homes are their owners' own: links are made when a person's server starts.

POSIX ACLs are set as the kernel keeps them (linux/posix_acl_xattr.h): a dozen lines, where setfacl would be a package
and a process for each directory.
"""

# Salt puts __opts__ into a state module when it loads it.
# ruff: noqa: F821

import grp
import os
import pwd
import stat
import struct
from pathlib import Path

FIRST_ID = 1000
OWNER, GROUP, NAMED_GROUP, MASK, OTHERS = 0x01, 0x04, 0x08, 0x10, 0x20
NOBODY = 0xFFFFFFFF
READ, ALL = 0o5, 0o7
ACCESS, DEFAULT = "system.posix_acl_access", "system.posix_acl_default"
# Root's, the group's and nobody else's; what is made in it belongs to the group too.
MODE = 0o2770


def managed(name, readers="class", writers=(), team_prefix=""):
    """Have ``name``/shared and ``name``/groups/TEAM.

    name
        Directory that holds both.
    readers
        Unix group whose members read what is in ``shared``.
    writers
        Unix groups whose members write there too.
    team_prefix
        Each Unix group whose name begins so has a directory, named as the rest of the group's name. Its members change
        what any of them wrote; nobody else gets in.
    people
        Unix groups whose members get the links ``~/shared`` and ``~/groups/TEAM``. Something else of that name, such as
        a student's own file, stays.
    """
    ret = {"name": name, "changes": {}, "result": True, "comment": ""}
    known = {entry.gr_name: entry for entry in grp.getgrall()}
    if readers not in known:
        ret["result"] = None if __opts__["test"] else False
        ret["comment"] = f"there is no Unix group {readers} yet"
        return ret
    teams = _teams(known, team_prefix)
    root = Path(name)
    steps = list(_directories(root, known, readers, writers, teams))
    count = f"{len(teams)} teams' directories"
    if not steps:
        ret["comment"] = f"shared and {count} are as they should be"
        return ret
    problems = []
    for where, what, act in steps:
        if not __opts__["test"]:
            try:
                act()
            except OSError as problem:
                problems.append(f"{where}: {problem.strerror}")
                continue
        ret["changes"][where] = ", ".join(filter(None, [ret["changes"].get(where), what]))
    ret["result"] = False if problems else (None if __opts__["test"] else True)
    ret["comment"] = "; ".join(problems) or f"shared and {count} were brought to what they should be"
    return ret


def _teams(known, prefix):
    """Return the teams' groups by the name of their directory; an account's own group is no team's."""
    accounts = {entry.pw_name for entry in pwd.getpwall()}
    return {
        name.removeprefix(prefix): entry
        for name, entry in sorted(known.items())
        if prefix and name.startswith(prefix) and name != prefix and entry.gr_gid >= FIRST_ID and name not in accounts
    }


def _directories(root, known, readers, writers, teams):
    """Yield what to do for each directory that is missing, or open to others than it should be."""
    for path in (root, root / "groups"):
        if not _is(path, 0, 0o755):
            yield str(path), "made", lambda path=path: _make(path, 0, 0o755)
    named = {known[group].gr_gid: ALL for group in writers if group in known}
    shared = _acl(READ, named)
    wanted = [(root / "shared", known[readers].gr_gid, shared, shared)]
    # Without named groups the mode says it all; the default makes what is new the group's whatever a umask is.
    wanted += [(root / "groups" / team, entry.gr_gid, None, _acl(ALL, {})) for team, entry in teams.items()]
    for path, gid, access, default in wanted:
        if not (_is(path, gid, MODE) and (_xattr(path, ACCESS), _xattr(path, DEFAULT)) == (access, default)):
            yield (
                str(path),
                "made" if not path.exists() else "rights set",
                lambda path=path, gid=gid, access=access, default=default: _make(path, gid, MODE, access, default),
            )


def _is(path, gid, mode):
    try:
        found = path.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (0, gid, mode)


def _xattr(path, name):
    try:
        return os.getxattr(path, name)
    except OSError:
        return None


def _acl(group, named):
    """Return an ACL as the kernel keeps it: all for the owner, what is said for groups, nothing for others."""
    entries = [(OWNER, ALL, NOBODY), (GROUP, group, NOBODY)]
    entries += [(NAMED_GROUP, rights, gid) for gid, rights in sorted(named.items())]
    entries += [(MASK, ALL, NOBODY)] if named else []
    entries += [(OTHERS, 0, NOBODY)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def _make(path, gid, mode, access=None, default=None):
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.chown(path, 0, gid)
    for name, value in ((ACCESS, access), (DEFAULT, default)):
        if value is not None:
            os.setxattr(path, name, value)
        elif _xattr(path, name) is not None:
            os.removexattr(path, name)
    path.chmod(mode)
