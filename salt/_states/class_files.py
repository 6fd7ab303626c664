"""Directories that a class shares: one that all read and its teachers write, and one for each team.

Who is in a team is the Unix group's matter (``class_accounts``); this state only makes the group's directory, once, and
a link to it in each member's home. Everything is compared in one pass and touched only where it differs. A directory of
a team that nobody is in any more keeps its files, and nobody gets in.

POSIX ACLs are set as the kernel keeps them (linux/posix_acl_xattr.h): a dozen lines, where setfacl would be a package
and a process for each directory.
"""

# Salt puts __opts__ into a state module when it loads it.
# ruff: noqa: F821

import contextlib
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


def managed(name, readers="class", writers=(), team_prefix="", people=()):
    """Have ``name``/shared and ``name``/groups/TEAM, and links to them in the homes of ``people``.

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
    steps = [*_directories(root, known, readers, writers, teams), *_links(root, known, people, teams)]
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


def _links(root, known, people, teams):
    """Yield what to do in each home: links that are missing, and those of teams that its owner left."""
    accounts = sorted({account for group in people if group in known for account in known[group].gr_mem})
    for account in accounts:
        try:
            person = pwd.getpwnam(account)
        except KeyError:
            continue
        if person.pw_uid < FIRST_ID or not Path(person.pw_dir).is_dir():
            continue
        mine = {team for team, entry in teams.items() if account in entry.gr_mem}
        wanted = {("shared",): root / "shared", **{("groups", team): root / "groups" / team for team in sorted(mine)}}
        home = Path(person.pw_dir)
        new = [(parts, target) for parts, target in wanted.items() if _is_free(home, parts)]
        old = [team for team in teams if team not in mine and _is_our_link(home, team, root)]
        if new or old:
            words = [f"link {'/'.join(parts)}" for parts, _ in new] + [f"no link groups/{team}" for team in old]
            yield str(home), ", ".join(words), lambda p=person, n=new, o=old: _relink(p, n, o)


def _is_free(home, parts):
    """Whether nothing stands at the link's place, nor in its way."""
    if len(parts) > 1:
        try:
            if not stat.S_ISDIR((home / parts[0]).lstat().st_mode):
                return False
        except OSError:
            return True
    return not os.path.lexists(home.joinpath(*parts))


def _is_our_link(home, team, root):
    try:
        return (home / "groups" / team).readlink() == root / "groups" / team
    except OSError:
        return False


def _relink(person, new, old):
    """Make and remove links by the directories' own descriptors.

    A student may swap a directory for a link at any moment; root must then not write wherever it leads to.
    """
    with _opened(person.pw_dir, person.pw_uid) as home:
        for parts, target in new:
            if len(parts) == 1:
                _link(person, home, parts[0], target)
                continue
            with contextlib.suppress(FileExistsError):
                os.mkdir(parts[0], 0o700, dir_fd=home)
                os.chown(parts[0], person.pw_uid, person.pw_gid, dir_fd=home, follow_symlinks=False)
            with _opened(parts[0], person.pw_uid, home) as inner:
                _link(person, inner, parts[1], target)
        if old:
            with _opened("groups", person.pw_uid, home) as inner:
                for team in old:
                    os.unlink(team, dir_fd=inner)


@contextlib.contextmanager
def _opened(path, uid, inside=None):
    """Open a directory that is the person's own, and never by a link."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=inside)
    try:
        if os.fstat(descriptor).st_uid != uid:
            raise PermissionError(1, "is not its owner's")
        yield descriptor
    finally:
        os.close(descriptor)


def _link(person, directory, name, target):
    with contextlib.suppress(FileExistsError):
        os.symlink(target, name, dir_fd=directory)
        os.chown(name, person.pw_uid, person.pw_gid, dir_fd=directory, follow_symlinks=False)
