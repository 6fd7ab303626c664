"""Initial passwords: made once, kept outside git, readable by the owner alone, never printed to a log."""

from __future__ import annotations

import csv
import io
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from passlib.hash import sha512_crypt

from runner.project import Project, write_private

#: No 0/O, 1/l/I: passwords are read from paper. 5 bits a letter.
_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"
#: Three groups of four letters are 60 bits: out of reach for guessing through PAM's delay.
_GROUPS, _GROUP = 3, 4
_HEADER = ("account", "password", "hash")


@dataclass(frozen=True)
class Password:
    """A clear password, and its crypt(5) hash as /etc/shadow takes it."""

    clear: str
    hash: str

    @classmethod
    def generate(cls) -> Password:
        """A new random password."""
        clear = "-".join("".join(secrets.choice(_LETTERS) for _ in range(_GROUP)) for _ in range(_GROUPS))
        # Debian's own count for sha512 (login.defs); the clear text has 60 random bits, rounds add nothing.
        return cls(clear, sha512_crypt.using(rounds=5000).hash(clear))


class Passwords:
    """The course's password file, ``.coursehub/passwords/<course>.csv``: account, password, hash."""

    def __init__(self, project: Project, course_id: str) -> None:
        self.path: Path = project.state / "passwords" / f"{course_id}.csv"

    def read(self) -> dict[str, Password]:
        """All passwords by account."""
        if not self.path.is_file():
            return {}
        with self.path.open(encoding="utf-8", newline="") as handle:
            return {row["account"]: Password(row["password"], row["hash"]) for row in csv.DictReader(handle)}

    def ensure(self, accounts: Iterable[str]) -> dict[str, Password]:
        """The passwords of ``accounts``, made where there is none yet; others' are kept for when they come back."""
        kept = self.read()
        wanted = list(accounts)
        missing = [account for account in wanted if account not in kept]
        if missing:
            kept |= {account: Password.generate() for account in missing}
            self._write(kept)
        return {account: kept[account] for account in wanted}

    def _write(self, passwords: dict[str, Password]) -> None:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(_HEADER)
        writer.writerows((account, password.clear, password.hash) for account, password in passwords.items())
        write_private(self.path, text.getvalue())
