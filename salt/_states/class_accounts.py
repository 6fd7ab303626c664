"""The Unix accounts of one class, compared in one pass and touched only where they differ.

One state for the whole class: 500 ``user.present`` would be 500 slow states. Accounts are made by ``useradd`` and
``chpasswd``, so that shadow's own locking and defaults hold. Full names never reach the machine: ``/etc/passwd`` is
readable by every student.
"""

# Salt puts __opts__ into a state module when it loads it.
# ruff: noqa: F821, PLR0912, PLR0917

import grp
import hashlib
import json
import os
import pwd
import re
import shutil
import stat
import subprocess
from pathlib import Path

ACCOUNT = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
FIRST_UID = 1000
# Days since 1970, as shadow counts them: expired long ago, so that PAM's account check refuses.
EXPIRED = "1"
LOCKED_BY = ("!",)
NEVER_SET = ("", "!", "*", "!!", "!*")

SHADOW = Path("/etc/shadow")
RECORD = Path("/var/lib/coursehub/accounts.json")
LOCKS = [Path(f"/etc/{name}.lock") for name in ("passwd", "shadow", "group", "gshadow", "subuid", "subgid")]
SHADOW_TOOLS = {"useradd", "usermod", "userdel", "groupadd", "groupmod", "groupdel", "gpasswd", "chpasswd", "passwd"}


class AccountError(Exception):
    """One account or group could not be brought to its state."""


def managed(
    name,
    people,
    groups=(),
    class_group="class",
    home_root="/home",
    shell="/bin/bash",
    stop_units=(),
    team_prefix="",
    leave="",
    left_file="",
):
    """Have an account with a private home for each of ``people``, and lock whoever is no longer among them.

    people
        ``{account: {groups: [...], password_hash: crypt(3) string, uid: number, present: true}}``. A password hash is
        set when the account is made and when the hash itself changes here; a password that its owner changed stays.
        ``present: false`` and no longer being listed are the same: the account is locked and leaves its groups, its
        processes end, its files stay.
    groups
        Groups that exist in any case; their members are exactly those that ``people`` says.
    team_prefix
        Groups whose names begin so are kept in the same way, whether somebody is still in them or not. No account may.
    class_group
        Group by which this state knows the accounts that it made.
    stop_units
        systemd units to stop when an account is locked or leaves a group, whose rights a running process would keep;
        ``{account}`` is replaced and may stand in a glob.
    leave
        Program that ends all that an account has on the machine (formula accounts, ``coursehub-leave``): before it is
        locked and after, before it is unlocked, and when it loses a role, which is any of ``groups``. Empty is none.
    left_file
        File in which that program marks the account, so that whoever keeps sessions ends older ones.
    """
    ret = {"name": name, "changes": {}, "result": True, "comment": ""}
    people = {account: facts or {} for account, facts in (people or {}).items()}
    plan, problems = _plan(people, list(groups), class_group, Path(home_root), shell, team_prefix)
    if not plan and not problems:
        _record(people, __opts__["test"])
        ret["comment"] = f"{len(people)} accounts are as they should be"
        return ret
    if __opts__["test"]:
        ret["changes"] = _shown(plan)
        ret["result"] = False if problems else None
        ret["comment"] = "; ".join(problems) or f"{len(ret['changes'])} accounts and groups would change"
        return ret
    _free_stale_locks()
    ending = _Ending(list(stop_units), leave, left_file, set(_members(class_group)), set(groups))
    done, broken = [], set()
    for step in plan:
        if step["account"] in broken:
            continue
        try:
            _carry_out(step, people.get(step["account"], {}), class_group, Path(home_root), shell, ending)
            done.append(step)
        except AccountError as problem:
            broken.add(step["account"])
            problems.append(f"{step['account']}: {problem}")
    failed_passwords = _set_passwords(done, people)
    problems += failed_passwords
    _record({account: people[account] for account in people if not _failed(account, problems)}, test=False)
    ret["changes"] = _shown(done)
    ret["result"] = not problems
    ret["comment"] = "; ".join(problems) or f"{len(people)} accounts are as they should be"
    return ret


def _failed(account, problems):
    return any(problem.startswith((f"{account}:", "passwords:")) for problem in problems)


def _shown(plan):
    """Return what a person sees of a plan: accounts and verbs, nothing secret."""
    changes = {}
    for step in plan:
        shown = step["do"] + (f" {', '.join(step['groups'])}" if step.get("groups") else "")
        changes.setdefault(step["account"], []).append(shown)
    return {account: ", ".join(steps) for account, steps in changes.items()}


def _plan(people, groups, class_group, home_root, shell, team_prefix):
    """Compare the machine with ``people``; return the steps that are needed and what makes no sense."""
    passwd = {entry.pw_name: entry for entry in pwd.getpwall()}
    existing = {entry.gr_name: entry for entry in grp.getgrall()}
    shadow = _shadow()
    record = _read_record()
    steps, problems = [], []

    # An account's own group is its own, whatever its name begins with.
    kept = [name for name in existing if team_prefix and name.startswith(team_prefix) and name not in passwd]
    wanted_groups = dict.fromkeys([class_group, *groups, *kept])
    for facts in people.values():
        wanted_groups.update(dict.fromkeys(facts.get("groups", [])))
    for group in wanted_groups:
        if not ACCOUNT.fullmatch(group):
            problems.append(f"group {group}: not a Unix group's name")
        elif group not in existing:
            steps.append({"do": "group made", "account": f"group {group}", "group": group})

    membership = {}
    for group in wanted_groups:
        for member in existing[group].gr_mem if group in existing else ():
            membership.setdefault(member, set()).add(group)

    for account, facts in people.items():
        if not facts.get("present", True):
            continue
        entry = passwd.get(account)
        refused = _refused(account, facts, entry, team_prefix)
        if refused:
            problems.append(f"{account}: {refused}")
            continue
        if entry is None:
            steps.append({"do": "made", "account": account})
        elif _is_locked(shadow.get(account)):
            steps.append({"do": "unlocked", "account": account})
        if entry is not None and entry.pw_shell != shell:
            steps.append({"do": "shell changed", "account": account})
        trouble = _home_trouble(Path(entry.pw_dir) if entry else home_root / account, entry)
        if trouble:
            steps.append({"do": trouble, "account": account})
        wanted = {class_group, *facts.get("groups", [])}
        has = membership.get(account, set())
        if wanted - has:
            steps.append({"do": "joins", "account": account, "groups": sorted(wanted - has)})
        if has - wanted:
            steps.append({"do": "leaves", "account": account, "groups": sorted(has - wanted)})
        if _needs_password(account, facts, shadow.get(account), record):
            steps.append({"do": "password set", "account": account})

    present = {account for account, facts in people.items() if facts.get("present", True)}
    ours = set(existing[class_group].gr_mem) if class_group in existing else set()
    for account in sorted((ours | membership.keys()) - present):
        if account in ours and account in passwd and not _is_locked(shadow.get(account)):
            steps.append({"do": "locked", "account": account})
        left = membership.get(account, set()) - {class_group}
        if left:
            steps.append({"do": "leaves", "account": account, "groups": sorted(left)})
    return steps, problems


def _refused(account, facts, entry, team_prefix):
    """Say why an account cannot be one of the class, or None."""
    if not ACCOUNT.fullmatch(account):
        return "not a Unix account's name (a-z, 0-9, - and _, 32 at most)"
    if entry is None and team_prefix and account.startswith(team_prefix):
        return "begins as a team's group does, choose another"
    if facts.get("uid") is not None and facts["uid"] < FIRST_UID:
        return f"uid {facts['uid']} is the system's, take one from {FIRST_UID} on"
    if entry is not None and entry.pw_uid < FIRST_UID:
        return "the system has an account of that name already, choose another"
    return None


def _shadow():
    """Return the password and expiry fields by account; spwd is gone from Python 3.13."""
    found = {}
    for line in SHADOW.read_text().splitlines():
        fields = line.split(":")
        if len(fields) >= 8:
            found[fields[0]] = (fields[1], fields[7])
    return found


def _is_locked(fields):
    return fields is not None and fields[0].startswith(LOCKED_BY) and fields[1] == EXPIRED


def _home_trouble(home, entry):
    """Say what is wrong with a home: missing, not its owner's, or open to others."""
    try:
        found = home.lstat()
    except OSError:
        return "home made"
    if entry is not None and (found.st_uid != entry.pw_uid or stat.S_IMODE(found.st_mode) & 0o077):
        return "home made private"
    return None


def _fingerprint(facts):
    given = facts.get("password_hash")
    return hashlib.sha256(given.encode()).hexdigest() if given else None


def _needs_password(account, facts, fields, record):
    given = _fingerprint(facts)
    if given is None:
        return False
    if fields is None or fields[0].lstrip("!") in NEVER_SET:
        return True
    return account in record and record[account] != given


def _read_record():
    """Return which hash was last given to whom, as digests: the record tells our change from the owner's."""
    try:
        return json.loads(RECORD.read_text())
    except (OSError, ValueError):
        return {}


def _record(people, test):
    if test:
        return
    known = _read_record()
    fresh = {**known, **{account: _fingerprint(facts) for account, facts in people.items() if _fingerprint(facts)}}
    if fresh == known:
        return
    RECORD.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    staged = RECORD.with_suffix(".new")
    staged.touch(mode=0o600)
    staged.write_text(json.dumps(fresh, indent=0, sort_keys=True))
    staged.replace(RECORD)


def _run(*argv, given=None):
    done = subprocess.run(argv, input=given, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise AccountError(said[-1] if said else f"{argv[0]}: exit code {done.returncode}")


def _free_stale_locks():
    """Remove lock files of a shadow tool that died with the machine; its number may be someone else's by now."""
    for lock in LOCKS:
        try:
            owner = Path(f"/proc/{int(lock.read_text().strip(chr(0)).strip())}/comm").read_text().strip()
        except FileNotFoundError:
            owner = None
        except (OSError, ValueError):
            continue
        if owner not in SHADOW_TOOLS:
            lock.unlink(missing_ok=True)


def _carry_out(step, facts, class_group, home_root, shell, ending):
    """Do one step; raise AccountError with the tool's own words."""
    account, do = step["account"], step["do"]
    if do == "group made":
        _run("groupadd", step["group"])
    elif do == "made":
        uid = ["--uid", str(facts["uid"])] if facts.get("uid") else []
        groups = ",".join([class_group, *facts.get("groups", [])])
        _run(
            *("useradd", "--no-create-home", "--home-dir", str(home_root / account), "--shell", shell),
            *("--user-group", "--groups", groups, *uid, account),
        )
    elif do == "unlocked":
        # Whatever was begun before must not begin to work again.
        ending.all_of(account)
        _run("usermod", "--expiredate", "", account)
        _unlock(account)
    elif do == "locked":
        # Sessions, tokens and processes first, whatever becomes of the rest; and what began until it was locked.
        try:
            ending.all_of(account)
        finally:
            _run("usermod", "--lock", "--expiredate", EXPIRED, account)
        ending.all_of(account, marked=False)
    elif do == "shell changed":
        _run("usermod", "--shell", shell, account)
    elif do == "joins":
        member_of = {entry.gr_name for entry in grp.getgrall() if account in entry.gr_mem}
        missing = [group for group in step["groups"] if group not in member_of]
        if missing:
            _run("usermod", "--append", "--groups", ",".join(missing), account)
    elif do == "leaves":
        # Before, as the run after one that is cut short in between finds nothing to do; and after, as somebody may have
        # started it anew.
        ending.rights_of(account, step["groups"])
        for group in step["groups"]:
            _run("gpasswd", "--delete", account, group)
        ending.rights_of(account, step["groups"])
    elif do in {"home made", "home made private"}:
        _make_home(pwd.getpwnam(account))


def _unlock(account):
    """Give a locked account its own password back; one that never had a password stays without."""
    password = _shadow()[account][0]
    if password.lstrip("!") not in NEVER_SET:
        _run("usermod", "--unlock", account)


def _members(group):
    try:
        return grp.getgrnam(group).gr_mem
    except KeyError:
        return []


class _Ending:
    """Ends what runs with rights that somebody is to lose."""

    def __init__(self, units, program, left_file, ours, roles):
        self.units, self.program, self.left_file, self.ours, self.roles = units, program, left_file, ours, roles

    def _units_of(self, account):
        return [unit.replace("{account}", account) for unit in self.units]

    def all_of(self, account, marked=True):
        """End sessions, tokens, processes and timers of an account; raise AccountError when some are left."""
        if not self.program:
            return
        options = ["--left", self.left_file] if self.left_file and marked else []
        options += [option for unit in self._units_of(account) for option in ("--unit", unit)]
        _run(self.program, *options, account)

    def rights_of(self, account, groups):
        """End what has the rights of groups: for a role everything, for a team what may have a file of it open."""
        if account in self.ours and self.roles.intersection(groups):
            self.all_of(account)
        elif units := self._units_of(account):
            # Not one after the other: a class whose teams change may have a hundred that end in seconds.
            subprocess.run(["systemctl", "stop", "--no-block", *units], capture_output=True, check=False)


def _make_home(entry):
    """Make a home in one step, or make the existing one private; files in it are never touched."""
    home = Path(entry.pw_dir)
    if home.exists():
        os.chown(home, entry.pw_uid, entry.pw_gid)
        home.chmod(stat.S_IMODE(home.stat().st_mode) & 0o700 | 0o700)
        return
    staged = home.with_name(f".{home.name}.new")
    shutil.rmtree(staged, ignore_errors=True)
    shutil.copytree("/etc/skel", staged, symlinks=True)
    for path in [staged, *staged.rglob("*")]:
        os.chown(path, entry.pw_uid, entry.pw_gid, follow_symlinks=False)
    staged.chmod(0o700)
    staged.rename(home)


def _set_passwords(done, people):
    """Set all initial passwords in one go, through standard input: an argument would show in the process list."""
    lines = [
        f"{step['account']}:{people[step['account']]['password_hash']}\n"
        for step in done
        if step["do"] == "password set"
    ]
    if not lines:
        return []
    try:
        _run("chpasswd", "--encrypted", given="".join(lines))
    except AccountError as problem:
        return [f"passwords: {problem}"]
    return []
