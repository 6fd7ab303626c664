"""Decide what a class's accounts need: compare the machine with the people of the course."""

from __future__ import annotations

import grp
import hashlib
import pwd
import re
import stat
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from coursehub_accounts_steps import (
    EXPIRED,
    NEVER_SET,
    ChangeShell,
    ClassOf,
    Join,
    Leave,
    Lock,
    MakeAccount,
    MakeGroup,
    MakeHome,
    SetPassword,
    Step,
    Unlock,
    shadow,
)

Facts = Mapping[str, Any]
#: The fields of an account's line in shadow: password and day of expiry.
Shadow = tuple[str, str]

ACCOUNT = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
FIRST_UID = 1000


def plan(
    people: Mapping[str, Facts], groups: Sequence[str], whole: ClassOf, team_prefix: str, record: Mapping[str, str]
) -> tuple[list[Step], list[str]]:
    """Return the steps that are needed, and a line for each invalid account or group.

    ``record`` has the last hash of each account, as fingerprints.
    """
    passwd = {entry.pw_name: entry for entry in pwd.getpwall()}
    existing = {entry.gr_name: entry for entry in grp.getgrall()}
    hidden = shadow()

    # An account's own group is not a team, whatever its name begins with.
    kept = [name for name in existing if team_prefix and name.startswith(team_prefix) and name not in passwd]
    wanted = dict.fromkeys([whole.group, *groups, *kept])
    for facts in people.values():
        wanted.update(dict.fromkeys(facts.get("groups", [])))
    steps, problems = _groups(wanted, existing)

    membership: dict[str, set[str]] = {}
    for group in wanted:
        for member in existing[group].gr_mem if group in existing else ():
            membership.setdefault(member, set()).add(group)

    present = {account: facts for account, facts in people.items() if facts.get("present", True)}
    # Accounts that leave come first: failures of other steps must not delay that.
    ours = set(existing[whole.group].gr_mem) if whole.group in existing else set()
    for account in sorted((ours | membership.keys()) - present.keys()):
        if account in ours and account in passwd and not _is_locked(hidden.get(account)):
            steps.append(Lock(account))
        left = membership.get(account, set()) - {whole.group}
        if left:
            steps.append(Leave(account, tuple(sorted(left))))

    for account, facts in present.items():
        entry = passwd.get(account)
        if refused := _refused(account, facts, entry, team_prefix):
            problems.append(f"{account}: {refused}")
            continue
        steps += _account(account, facts, entry, hidden.get(account), whole)
        steps += _membership(account, {whole.group, *facts.get("groups", [])}, membership.get(account, set()))
        if _needs_password(account, facts, hidden.get(account), record):
            steps.append(SetPassword(account, facts["password_hash"]))
    return steps, problems


def _groups(wanted: Collection[str], existing: Collection[str]) -> tuple[list[Step], list[str]]:
    problems = [f"group {group}: not a Unix group's name" for group in wanted if not ACCOUNT.fullmatch(group)]
    return [MakeGroup(group) for group in wanted if ACCOUNT.fullmatch(group) and group not in existing], problems


def _account(
    account: str, facts: Facts, entry: pwd.struct_passwd | None, fields: Shadow | None, whole: ClassOf
) -> list[Step]:
    """Return the steps for the account itself and its home."""
    steps: list[Step] = []
    if entry is None:
        steps.append(MakeAccount(account, tuple(facts.get("groups", [])), facts.get("uid")))
    elif _is_locked(fields):
        steps.append(Unlock(account))
    if entry is not None and entry.pw_shell != whole.shell:
        steps.append(ChangeShell(account))
    if trouble := _home_trouble(Path(entry.pw_dir) if entry else whole.home_root / account, entry):
        steps.append(MakeHome(account, trouble))
    return steps


def _membership(account: str, wanted: set[str], has: set[str]) -> list[Step]:
    steps: list[Step] = []
    if joins := sorted(wanted - has):
        steps.append(Join(account, tuple(joins)))
    if leaves := sorted(has - wanted):
        steps.append(Leave(account, tuple(leaves)))
    return steps


def _refused(account: str, facts: Facts, entry: pwd.struct_passwd | None, team_prefix: str) -> str | None:
    """Return why an account cannot be in the class, or None."""
    if not ACCOUNT.fullmatch(account):
        return "not a Unix account's name (a-z, 0-9, - and _, 32 at most)"
    if entry is None and team_prefix and account.startswith(team_prefix):
        return "begins as a team's group does, choose another"
    if facts.get("uid") is not None and facts["uid"] < FIRST_UID:
        return f"uid {facts['uid']} is the system's, take one from {FIRST_UID} on"
    if entry is not None and entry.pw_uid < FIRST_UID:
        return "the system has an account of that name already, choose another"
    return None


def _is_locked(fields: Shadow | None) -> bool:
    return fields is not None and fields[0].startswith("!") and fields[1] == EXPIRED


def _home_trouble(home: Path, entry: pwd.struct_passwd | None) -> str | None:
    """Return what must be done to a home that is missing, has another owner, or is open to others; or None."""
    try:
        found = home.lstat()
    except OSError:
        return "home made"
    if entry is not None and (found.st_uid != entry.pw_uid or stat.S_IMODE(found.st_mode) & 0o077):
        return "home made private"
    return None


def _needs_password(account: str, facts: Facts, fields: Shadow | None, record: Mapping[str, str]) -> bool:
    given = fingerprint(facts)
    if given is None:
        return False
    if fields is None or fields[0].lstrip("!") in NEVER_SET:
        return True
    # A hash that is not in the record was set by the owner or somebody else: it stays.
    return account in record and record[account] != given


def fingerprint(facts: Facts) -> str | None:
    """Return the fingerprint of a person's password hash for the record; None without a hash."""
    given = facts.get("password_hash")
    return hashlib.sha256(given.encode()).hexdigest() if given else None


def members(group: str) -> list[str]:
    """Return the members of a group; none if there is no such group."""
    try:
        return grp.getgrnam(group).gr_mem
    except KeyError:
        return []
