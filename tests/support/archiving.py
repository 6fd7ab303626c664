"""A class on this computer, as an archive finds it on a server: homes, a team, shared files, the hub's database."""

from __future__ import annotations

import functools
import os
import pwd
import sqlite3
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from runner.archive.stream import Source
from runner.cloud import Server
from runner.project import Project

#: Accounts that every Debian has: two students, one who left, and a professor.
ADA, BOB, LEFT, PROFESSOR = "games", "news", "lp", "mail"
PASSWORD = "a password from the vault"


def silent(_line: str) -> None:
    """Discards progress."""


@dataclass
class Access:
    """SSH to this computer. ``before`` is a shell script that runs before the server's own."""

    before: str = ""

    def argv(self, _ip: str, *command: str) -> list[str]:
        assert command == ("/bin/sh", "-s")
        return ["/bin/sh", "-c", f"{self.before}\nexec /bin/sh -s"]

    def run(self, _ip: str, script: str, *, seconds: int = 60) -> str:
        done = subprocess.run(
            ["/bin/sh", "-s"], input=script, capture_output=True, text=True, check=True, timeout=seconds
        )
        return done.stdout


class School:
    """The server's directories and the session that a verb has with it."""

    def __init__(self, root: Path, project: Project) -> None:
        self.root, self.project = root, project
        self.source = Source(
            homes=str(root / "home"),
            shared=str(root / "class"),
            database=str(root / "hub.sqlite"),
            openings=str(root / "openings.log"),
        )
        for account in (ADA, BOB, LEFT, PROFESSOR):
            self.mkdir(root / "home" / account, account)
        self.mkdir(root / "class/groups/red", "root")
        self.mkdir(root / "class/shared", PROFESSOR)
        with sqlite3.connect(self.source.database) as database:
            database.execute("create table users (name)")
        Path(self.source.openings).write_text("opened\n")
        self.access = Access()
        self.server = Server(7, "phys", "192.0.2.1", "s-1vcpu-1gb", "debian-13-x64", "nyc3", "active")

    def mkdir(self, path: Path, account: str) -> None:
        """A private directory of a person."""
        path.mkdir(parents=True, mode=0o700)
        give(path, account)

    def write(self, account: str, content: Mapping[str | bytes, bytes | str]) -> None:
        """Files in a person's home."""
        for name, text in content.items():
            path = self.root / "home" / account / os.fsdecode(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
        self.own(account)

    def own(self, account: str) -> None:
        """Give a person all that is in their home."""
        subprocess.run(["chown", "-hR", f"{account}:", str(self.root / "home" / account)], check=True)

    @property
    def session(self) -> Any:
        """As much of a session as the verb needs."""
        people = {
            "professors": [SimpleNamespace(account=PROFESSOR, name="Marie Curie", email=None)],
            "assistants": [],
            "students": [
                SimpleNamespace(account=ADA, name="Ada Lovelace", email="ada@example.edu"),
                SimpleNamespace(account=BOB, name="Bob \u202e../..\\x", email=None),
            ],
        }
        everyone = [one for role in people.values() for one in role]
        return SimpleNamespace(
            project=self.project,
            course_id="phys",
            course=SimpleNamespace(title="Physics", backup=SimpleNamespace(targets=[])),
            cloud=SimpleNamespace(backup_place=lambda _course: ("rest:nowhere", PASSWORD)),
            access=self.access,
            people=SimpleNamespace(**people, everyone=lambda: everyone),
            server=lambda: self.server,
        )

    def as_source(self) -> Any:
        """To stand in for ``stream.Source``."""
        return functools.partial(Source, **vars(self.source))


def give(path: Path, account: str) -> None:
    """Make somebody the owner of a file or link."""
    person = pwd.getpwnam(account)
    os.chown(path, person.pw_uid, person.pw_gid, follow_symlinks=False)
