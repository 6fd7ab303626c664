"""Accounts and groups by their numbers, on the old server and on this one: the same person may have another number."""

from __future__ import annotations

import grp
import pwd
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass

#: An access list in the kernel's format (linux/posix_acl_xattr.h): a version, then entries of kind, rights, number.
ACLS = ("system.posix_acl_access", "system.posix_acl_default")
_VERSION, _ENTRY = struct.Struct("<I"), struct.Struct("<HHI")
_NAMED_USER, _NAMED_GROUP = 0x02, 0x08


@dataclass(frozen=True)
class Numbers:
    """The accounts and groups of one server."""

    uids: Mapping[str, int]
    gids: Mapping[str, int]
    members: Mapping[str, frozenset[str]]
    """By group, without those whose own group it is."""

    @classmethod
    def of(cls, passwd: str, group: str) -> Numbers:
        """From the text of /etc/passwd and /etc/group."""
        accounts = [line.split(":") for line in passwd.splitlines() if line.count(":") >= 6]
        groups = [line.split(":") for line in group.splitlines() if line.count(":") >= 3]
        return cls(
            {fields[0]: int(fields[2]) for fields in accounts},
            {fields[0]: int(fields[2]) for fields in groups},
            {fields[0]: frozenset(name for name in fields[3].split(",") if name) for fields in groups},
        )

    @classmethod
    def here(cls) -> Numbers:
        """Those of this server."""
        return cls(
            {entry.pw_name: entry.pw_uid for entry in pwd.getpwall()},
            {entry.gr_name: entry.gr_gid for entry in grp.getgrall()},
            {entry.gr_name: frozenset(entry.gr_mem) for entry in grp.getgrall()},
        )


@dataclass(frozen=True)
class Translation:
    """From the numbers of the old server to those of this one. None: nobody here."""

    uid: Callable[[int], int | None]
    gid: Callable[[int], int | None]

    def acl(self, value: bytes) -> bytes:
        """An access list with this server's numbers; entries of accounts and groups that are not here are left out."""
        kept = [value[: _VERSION.size]]
        for kind, rights, number in _ENTRY.iter_unpack(value[_VERSION.size :]):
            named = {_NAMED_USER: self.uid, _NAMED_GROUP: self.gid}.get(kind)
            new = number if named is None else named(number)
            if new is not None:
                kept.append(_ENTRY.pack(kind, rights, new))
        return b"".join(kept)


def translation(then: Numbers, now: Numbers) -> Translation:
    """By names."""
    account_of = {number: name for name, number in then.uids.items()}
    group_of = {number: name for name, number in then.gids.items()}
    return Translation(
        lambda uid: now.uids.get(account_of.get(uid, "")),
        lambda gid: now.gids.get(group_of.get(gid, "")),
    )
