"""Steps that change one account or group of the class. Each step is a class with a text for people.

A step raises AccountError with the message of the tool that failed.
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

from coursehub_subvolumes import make_directory

#: Days since 1970, the unit in shadow: expired long ago, so that PAM's account check refuses.
EXPIRED = "1"
NEVER_SET = ("", "!", "*", "!!", "!*")
SHADOW = Path("/etc/shadow")


class AccountError(Exception):
    """One account or group could not be brought to its state."""


@dataclass(frozen=True)
class ClassOf:
    """The common facts of all accounts of a class.

    ``units`` may contain ``{account}``. ``program`` ends everything that an account runs, and marks the account in
    ``left_file``; both may be empty. ``ours`` are the accounts that this state made. Losing one of the groups ``roles``
    ends everything of an account.
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
        """Return the units that run with an account's rights."""
        return [unit.replace("{account}", account) for unit in self.units]

    def end_everything(self, account: str, *, marked: bool = True) -> None:
        """End sessions, tokens, processes and timers of an account; raise AccountError if some are left."""
        if not self.program:
            return
        options = ["--left", self.left_file] if self.left_file and marked else []
        options += [option for unit in self.units_of(account) for option in ("--unit", unit)]
        run(self.program, *options, account)

    def end_rights(self, account: str, groups: Sequence[str]) -> None:
        """End what has the rights of groups: for a role everything, for a team the units of the account."""
        if account in self.ours and self.roles.intersection(groups):
            self.end_everything(account)
        elif units := self.units_of(account):
            # --no-block: when teams change, a hundred units may stop, each in some seconds.
            subprocess.run(["systemctl", "stop", "--no-block", *units], capture_output=True, check=False)


class Step(Protocol):
    """One step; ``account`` names the account, or the group as "group NAME"."""

    @property
    def account(self) -> str: ...  # noqa: D102

    @property
    def words(self) -> str:
        """The text for people; nothing secret."""

    def act(self, whole: ClassOf) -> None:
        """Do the step. Raises AccountError."""


@dataclass(frozen=True)
class MakeGroup:
    """A group that is missing."""

    group: str
    words: str = "group made"

    @property
    def account(self) -> str:
        """The name of the group in the changes."""
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
    """A person who comes back."""

    account: str
    words: str = "unlocked"

    def act(self, whole: ClassOf) -> None:
        """Give the account its own password back; one that never had a password stays without."""
        # Sessions from before it was locked must not become valid again.
        whole.end_everything(self.account)
        run("usermod", "--expiredate", "", self.account)
        if shadow()[self.account][0].lstrip("!") not in NEVER_SET:
            run("usermod", "--unlock", self.account)


@dataclass(frozen=True)
class Lock:
    """A person who has left; the files stay."""

    account: str
    words: str = "locked"

    def act(self, whole: ClassOf) -> None:
        """End everything, lock the account, and end what was started in between."""
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
        """Set the class's shell."""
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
    """Groups that an account must leave."""

    account: str
    groups: tuple[str, ...]

    @property
    def words(self) -> str:
        """The groups."""
        return f"leaves {', '.join(self.groups)}"

    def act(self, whole: ClassOf) -> None:
        """Leave them, and end what still has their rights, before and after.

        Before, because after an interruption in between the next run would find nothing to do; after, because the
        person may have started a server again.
        """
        whole.end_rights(self.account, self.groups)
        for group in self.groups:
            run("gpasswd", "--delete", self.account, group)
        whole.end_rights(self.account, self.groups)


@dataclass(frozen=True)
class MakeHome:
    """A home that is missing, has another owner, or is open to others; files in it are never touched."""

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
        make_directory(staged)
        shutil.copytree("/etc/skel", staged, symlinks=True, dirs_exist_ok=True)
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
        """Do nothing: ``set_passwords`` sets all passwords together."""


def set_passwords(steps: Sequence[Step]) -> None:
    """Set all passwords together, through standard input: arguments are visible in the process list."""
    lines = [f"{step.account}:{step.password_hash}\n" for step in steps if isinstance(step, SetPassword)]
    if lines:
        run("chpasswd", "--encrypted", given="".join(lines))


def shadow() -> dict[str, tuple[str, str]]:
    """Return the password and expiry fields by account; Python 3.13 has no module spwd."""
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
