"""The Unix accounts of one class, compared in one pass and changed only where they differ.

There is one state for the whole class: 500 ``user.present`` would be 500 slow states. ``useradd`` and ``chpasswd`` make
the accounts, so shadow's own locking and defaults apply. Full names are not used, because every student can read
``/etc/passwd``.

``coursehub_accounts`` decides, ``coursehub_accounts_steps`` acts (both in salt/_utils).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from coursehub_accounts import Facts, fingerprint, members, plan
from coursehub_accounts_steps import AccountError, ClassOf, Step, set_passwords
from coursehub_files import write_whole

#: Salt puts it into a state module when it loads one.
__opts__: dict[str, Any]

RECORD = Path("/var/lib/coursehub/accounts.json")
LOCKS = [Path(f"/etc/{name}.lock") for name in ("passwd", "shadow", "group", "gshadow", "subuid", "subgid")]
SHADOW_TOOLS = {"useradd", "usermod", "userdel", "groupadd", "groupmod", "groupdel", "gpasswd", "chpasswd", "passwd"}


def managed(
    name: str,
    people: Mapping[str, Facts | None] | None,
    groups: Sequence[str] = (),
    class_group: str = "class",
    home_root: str = "/home",
    shell: str = "/bin/bash",
    stop_units: Sequence[str] = (),
    team_prefix: str = "",
    leave: str = "",
    left_file: str = "",
) -> dict[str, Any]:
    """Make an account with a private home for each of ``people``, and lock accounts that are no longer among them.

    people
        ``{account: {groups: [...], password_hash: crypt(3) string, uid: number, present: true}}``. A password hash is
        set when the account is made, and when the hash itself changes here; a password that its owner changed stays.
        ``present: false`` and no longer being listed have the same effect: the account is locked and leaves its groups,
        its processes end, its files stay.
    groups
        Groups that always exist; their members are exactly those that ``people`` names.
    team_prefix
        Groups whose names begin with this are handled in the same way and stay when they are empty. No account's name
        may begin with it.
    class_group
        The group by which this state recognises the accounts that it made.
    stop_units
        systemd units to stop when an account is locked or leaves a group, because a running process would keep the
        group's rights. ``{account}`` is replaced; the name may be a glob.
    leave
        Program that ends everything that an account runs (formula accounts, ``coursehub-leave``). It runs before and
        after the account is locked, before it is unlocked, and when it loses a role (any of ``groups``). Empty: none.
    left_file
        File in which that program marks the account, so that programs that keep sessions end older ones.
    """
    given = {account: facts or {} for account, facts in (people or {}).items()}
    whole = ClassOf(
        class_group,
        Path(home_root),
        shell,
        units=tuple(stop_units),
        program=leave,
        left_file=left_file,
        ours=frozenset(members(class_group)),
        roles=frozenset(groups),
    )
    steps, problems = plan(given, groups, whole, team_prefix, _read_record())
    good = f"{len(given)} accounts are as they should be"
    if not steps and not problems:
        if not __opts__["test"]:
            _keep(given)
        return {"name": name, "changes": {}, "result": True, "comment": good}
    if __opts__["test"]:
        changes = _shown(steps)
        comment = "; ".join(problems) or f"{len(changes)} accounts and groups would change"
        return {"name": name, "changes": changes, "result": False if problems else None, "comment": comment}
    done, failed = _act(steps, whole)
    problems += failed
    _keep({account: facts for account, facts in given.items() if not _failed(account, problems)})
    return {"name": name, "changes": _shown(done), "result": not problems, "comment": "; ".join(problems) or good}


def _act(steps: Sequence[Step], whole: ClassOf) -> tuple[list[Step], list[str]]:
    """Do the steps; return those that were done, and a line for each account that failed. The others continue."""
    _free_stale_locks()
    done: list[Step] = []
    broken: dict[str, str] = {}
    for step in steps:
        if step.account in broken:
            continue
        try:
            step.act(whole)
            done.append(step)
        # If a home cannot be made, for example on a full disk, other accounts must still be locked.
        except (AccountError, OSError, KeyError) as problem:
            broken[step.account] = f"{step.account}: {problem}"
    problems = list(broken.values())
    try:
        set_passwords(done)
    except AccountError as problem:
        problems.append(f"passwords: {problem}")
    return done, problems


def _failed(account: str, problems: Sequence[str]) -> bool:
    return any(problem.startswith((f"{account}:", "passwords:")) for problem in problems)


def _shown(steps: Sequence[Step]) -> dict[str, str]:
    """Return the steps as changes for people: accounts and words, nothing secret."""
    changes: dict[str, list[str]] = {}
    for step in steps:
        changes.setdefault(step.account, []).append(step.words)
    return {account: ", ".join(words) for account, words in changes.items()}


def _read_record() -> dict[str, str]:
    """Return the last hash of each account, as digests. They distinguish our change from the owner's."""
    try:
        record: dict[str, str] = json.loads(RECORD.read_text())
    except (OSError, ValueError):
        return {}
    return record


def _keep(people: Mapping[str, Facts]) -> None:
    """Store the hashes that ``people`` have been given."""
    known = _read_record()
    given = {account: fingerprint(facts) for account, facts in people.items()}
    fresh = {**known, **{account: digest for account, digest in given.items() if digest}}
    if fresh != known:
        write_whole(RECORD, json.dumps(fresh, indent=0, sort_keys=True), mode=0o600)


def _free_stale_locks() -> None:
    """Remove lock files of a shadow tool that died with the machine; another process may now have its id."""
    for lock in LOCKS:
        try:
            owner = Path(f"/proc/{int(lock.read_text().strip(chr(0)).strip())}/comm").read_text().strip()
        except FileNotFoundError:
            owner = ""
        except (OSError, ValueError):
            continue
        if owner not in SHADOW_TOOLS:
            lock.unlink(missing_ok=True)
