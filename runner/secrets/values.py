"""A course's secrets: named values in ``pillar/secrets/<course>.sls``, each encrypted for all teachers."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

from runner.errors import USAGE, CoursehubError
from runner.files import write_whole
from runner.project import Project
from runner.secrets.vault import MESSAGE, Vault

NAME = re.compile(r"^[a-z][a-z0-9-]{0,60}$")
#: Maximum size of one value; keys and certificates have a few thousand bytes.
MAX_BYTES = 64 * 1024
_HEAD = "#!yaml|gpg\n# Written by `coursehub secrets set`; names can be read, values cannot.\n"


class Secrets:
    """The secrets of one course. Reading names needs no key."""

    def __init__(self, project: Project, course_id: str) -> None:
        self.path: Path = project.secrets_file(course_id)
        self.shown = project.shown(self.path)
        self._vault = Vault(project)

    def names(self) -> list[str]:
        """The names of all secrets, sorted."""
        return sorted(self._messages())

    def get(self, name: str) -> str:
        """One value in clear. Raises CoursehubError (2) for an unknown name, and the errors of decrypting."""
        messages = self._messages()
        if name not in messages:
            known = ", ".join(sorted(messages)) or "none yet"
            raise CoursehubError(f"{self.shown} has no secret {name}; there are: {known}", exit_code=USAGE)
        return self._vault.decrypt(messages[name], f"{self.shown} ({name})")

    def set(self, name: str, value: str) -> None:
        """Add or replace one value. Raises CoursehubError (2) for an invalid name or value."""
        if not NAME.fullmatch(name):
            raise CoursehubError(
                f"{name!r} is no name for a secret; use small letters, digits and -, such as google-client-secret",
                exit_code=USAGE,
            )
        if not value or len(value.encode()) > MAX_BYTES or "\0" in value:
            raise CoursehubError(f"{name}: a secret is text of 1 to {MAX_BYTES} bytes; give another", exit_code=USAGE)
        self._write({**self._messages(), name: self._vault.encrypt(value)})

    def remove(self, name: str) -> None:
        """Remove one value; git's history keeps the encrypted old copies."""
        self._write({key: message for key, message in self._messages().items() if key != name})

    def take(self, other: Secrets) -> list[str]:
        """Copy each secret of another course that is missing here, as it is encrypted there; return their names."""
        missing = {name: message for name, message in other._messages().items() if name not in self._messages()}
        if missing:
            self._write({**self._messages(), **missing})
        return sorted(missing)

    def encrypt_again(self) -> int:
        """Encrypt every value again for the present teachers; return the number of values."""
        names = self.names()
        if names:
            self._write({name: self._vault.encrypt(self.get(name)) for name in names})
        return len(names)

    def _messages(self) -> dict[str, str]:
        if not self.path.exists():
            return {}
        try:
            found = yaml.safe_load(self.path.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise CoursehubError(f"{self.shown} is damaged; take the last good version from git") from error
        if found is None:
            return {}
        if not isinstance(found, dict) or not all(
            isinstance(value, str) and MESSAGE.fullmatch(value.strip() + "\n") for value in found.values()
        ):
            raise CoursehubError(
                f"{self.shown} holds something that is not encrypted; take it out, set it with 'coursehub secrets "
                "set', and count it as known to everybody who has the repository",
                exit_code=USAGE,
            )
        return {str(name): value for name, value in found.items()}

    def _write(self, messages: Mapping[str, str]) -> None:
        if not messages:
            self.path.unlink(missing_ok=True)
            return
        lines = [_HEAD]
        for name, message in sorted(messages.items()):
            indented = "".join(f"  {line}\n" if line else "\n" for line in message.strip().splitlines())
            lines.append(f"{name}: |\n{indented}")
        write_whole(self.path, "".join(lines))


@contextlib.contextmanager
def unlocked(project: Project, course_id: str) -> Iterator[None]:
    """Let Salt decrypt the course's pillar for the duration of the block; does nothing if nothing is encrypted.

    Raises CoursehubError with one line where Salt would print a traceback: no key here, not for this key, damaged.
    """
    secrets = Secrets(project, course_id)
    names = secrets.names()
    if not names and not project.people_file(course_id).exists():
        yield
        return
    vault = Vault(project)
    vault.tell_salt()
    with vault.agent():
        for name in names[:1]:
            secrets.get(name)
        yield
