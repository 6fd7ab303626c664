"""What can be done to one account or group of the class. Each step is a class that says in words what it does.

A step raises AccountError with the words of the tool that failed.
"""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import stat
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

#: Days since 1970, as shadow counts them: expired long ago, so that PAM's account check refuses.
EXPIRED = "1"
NEVER_SET = ("", "!", "*", "!!", "!*")
SHADOW = Path("/etc/shadow")


class AccountError(Exception):
    """One account or group could not be brought to its state."""


@dataclass(frozen=True)
class ClassOf:
    """What all accounts of a class have in common.

    ``units`` may have ``{account}`` in them. ``program`` ends all that an account has on the machine, and marks the
    account in ``left_file``; both may be empty. ``ours`` are the accounts that this state made, ``roles`` the groups
    whose loss ends everything of an account.
    """

    group: str
    home_root: Path
    shell: str
    units: tuple[str, ...] = ()
    program: str = ""
    left_file: str = ""
    ours: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()

    def units_of(self, account: str) -> list[str]:
        """The units that have an account's rights."""
        return [unit.replace("{account}", account) for unit in self.units]

    def end_everything(self, account: str, *, marked: bool = True) -> None:
        """End sessions, tokens, processes and timers of an account; raise AccountError when some are left."""
        if not self.program:
            return
        options = ["--left", self.left_file] if self.left_file and marked else []
        options += [option for unit in self.units_of(account) for option in ("--unit", unit)]
        run(self.program, *options, account)

    def end_rights(self, account: str, groups: Sequence[str]) -> None:
        """End what has the rights of groups: for a role everything, for a team what may have a file of it open."""
        if account in self.ours and self.roles.intersection(groups):
            self.end_everything(account)
        elif units := self.units_of(account):
            # Not one after the other: a class whose teams change may have a hundred that end in seconds.
            subprocess.run(["systemctl", "stop", "--no-block", *units], capture_output=True, check=False)


class Step(Protocol):
    """One step; ``account`` names the account, or the group as "group NAME"."""

    @property
    def account(self) -> str: ...  # noqa: D102

    @property
    def words(self) -> str:
        """What a person sees of it; nothing secret."""

    def act(self, whole: ClassOf) -> None:
        """Do it. Raises AccountError."""


@dataclass(frozen=True)
class MakeGroup:
    """A group that is missing."""

    group: str
    words: str = "group made"

    @property
    def account(self) -> str:
        """The group, as changes show it."""
        return f"group {self.group}"

    def act(self, whole: ClassOf) -> None:  # noqa: ARG002
        """Make it."""
        run("groupadd", self.group)


@dataclass(frozen=True)
class MakeAccount:
    """An account that is missing; its home is another step."""

    account: str
    groups: tuple[str, ...]
    uid: int | None
    words: str = "made"

    def act(self, whole: ClassOf) -> None:
        """Make it."""
        uid = ["--uid", str(self.uid)] if self.uid else []
        run(
            *("useradd", "--no-create-home", "--home-dir", str(whole.home_root / self.account)),
            *("--shell", whole.shell, "--user-group", "--groups", ",".join([whole.group, *self.groups])),
            *(*uid, self.account),
        )


@dataclass(frozen=True)
class Unlock:
    """Somebody who comes back."""

    account: str
    words: str = "unlocked"

    def act(self, whole: ClassOf) -> None:
        """Give the account its own password back; one that never had a password stays without."""
        # What was begun before it was locked must not begin to work again.
        whole.end_everything(self.account)
        run("usermod", "--expiredate", "", self.account)
        if shadow()[self.account][0].lstrip("!") not in NEVER_SET:
            run("usermod", "--unlock", self.account)


@dataclass(frozen=True)
class Lock:
    """Somebody who has left; the files stay."""

    account: str
    words: str = "locked"

    def act(self, whole: ClassOf) -> None:
        """End everything, lock the account, and end what began in between."""
        try:
            whole.end_everything(self.account)
        finally:
            run("usermod", "--lock", "--expiredate", EXPIRED, self.account)
        whole.end_everything(self.account, marked=False)


@dataclass(frozen=True)
class ChangeShell:
    """An account with another shell than the class has."""

    account: str
    words: str = "shell changed"

    def act(self, whole: ClassOf) -> None:
        """Give it the class's."""
        run("usermod", "--shell", whole.shell, self.account)


@dataclass(frozen=True)
class Join:
    """Groups that an account is not in yet."""

    account: str
    groups: tuple[str, ...]

    @property
    def words(self) -> str:
        """The groups."""
        return f"joins {', '.join(self.groups)}"

    def act(self, whole: ClassOf) -> None:  # noqa: ARG002
        """Join those that an earlier step has not joined."""
        member_of = {entry.gr_name for entry in grp.getgrall() if self.account in entry.gr_mem}
        missing = [group for group in self.groups if group not in member_of]
        if missing:
            run("usermod", "--append", "--groups", ",".join(missing), self.account)


@dataclass(frozen=True)
class Leave:
    """Groups that an account is to be in no longer."""

    account: str
    groups: tuple[str, ...]

    @property
    def words(self) -> str:
        """The groups."""
        return f"leaves {', '.join(self.groups)}"

    def act(self, whole: ClassOf) -> None:
        """Leave them, and end what still has their rights.

        Before, because a run that is cut short in between leaves nothing for the next one to find; and after, because
        somebody may have started a server again.
        """
        whole.end_rights(self.account, self.groups)
        for group in self.groups:
            run("gpasswd", "--delete", self.account, group)
        whole.end_rights(self.account, self.groups)


@dataclass(frozen=True)
class MakeHome:
    """A home that is missing, not its owner's, or open to others; files in it are never touched."""

    account: str
    words: str

    def act(self, whole: ClassOf) -> None:  # noqa: ARG002
        """Make it in one step, or make the existing one private."""
        entry = pwd.getpwnam(self.account)
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


@dataclass(frozen=True)
class SetPassword:
    """A first password, or a new one that the teacher gave; ``password_hash`` is a crypt(3) string."""

    account: str
    password_hash: str
    words: str = "password set"

    def act(self, whole: ClassOf) -> None:
        """Nothing: ``set_passwords`` sets those of all in one go."""


def set_passwords(steps: Sequence[Step]) -> None:
    """Set all passwords in one go, through standard input: an argument would show in the process list."""
    lines = [f"{step.account}:{step.password_hash}\n" for step in steps if isinstance(step, SetPassword)]
    if lines:
        run("chpasswd", "--encrypted", given="".join(lines))


def shadow() -> dict[str, tuple[str, str]]:
    """Return the password and expiry fields by account; spwd is gone from Python 3.13."""
    found = {}
    for line in SHADOW.read_text().splitlines():
        fields = line.split(":")
        if len(fields) >= 8:
            found[fields[0]] = (fields[1], fields[7])
    return found


def run(*argv: str, given: str | None = None) -> None:
    """Run a tool; raise AccountError with the last line that it printed."""
    done = subprocess.run(argv, input=given, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise AccountError(said[-1] if said else f"{argv[0]}: exit code {done.returncode}")
