"""Encrypts with GnuPG what git must not contain in clear, for everybody who may run the courses.

The teachers' public keys are in git (``pillar/secrets/keys/*.asc``). Each teacher's private key is outside the
repository, in ``~/.config/coursehub/gnupg`` or in the directory that ``COURSEHUB_KEYS`` names; Salt's gpg renderer
finds it there too. Secrets are passed only through standard input and output.
"""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import yaml

from runner.console import fail
from runner.errors import CoursehubError
from runner.files import write_private, write_whole
from runner.project import Project

#: Environment variable for another directory of the private key.
KEYS_VARIABLE = "COURSEHUB_KEYS"
#: Debian's package of gpg, gpg-agent and gpgconf.
PACKAGE = "gnupg"
#: The only kind of block that we write.
MESSAGE = re.compile(r"-----BEGIN PGP MESSAGE-----\n.*?-----END PGP MESSAGE-----\n?", re.DOTALL)
#: File in the private key's directory: fingerprints of the public keys that a teacher on this computer accepted.
_ACCEPTED = ".coursehub.accepted"
#: Time limit for GnuPG: it computes for milliseconds, but may wait for a lock.
_SECONDS = 60

Report = Callable[[str], None]


def keys_directory() -> Path:
    """The directory of this computer's private key, outside every repository."""
    configured = os.environ.get(KEYS_VARIABLE)
    return Path(configured).expanduser().absolute() if configured else Path.home() / ".config" / "coursehub" / "gnupg"


class Vault:
    """Encrypts for all teachers whose public keys are in the repository, and decrypts with this computer's key."""

    def __init__(self, project: Project, home: Path | None = None) -> None:
        self.project = project
        self.home = home or keys_directory()
        self.public_keys = project.secrets / "keys"

    def recipients(self) -> dict[str, Path]:
        """The public keys to encrypt for: file by fingerprint.

        Raises CoursehubError for a file that does not contain exactly one public key: gpg would encrypt only for the
        first.
        """
        found: dict[str, Path] = {}
        for path in sorted(self.public_keys.glob("*.asc")):
            shown = self.project.shown(path)
            text = path.read_text(encoding="ascii", errors="replace")
            if "PRIVATE KEY" in text:
                raise CoursehubError(
                    f"{shown} holds a private key: take the file away, out of git's history too, and make a new key"
                )
            done = self._gpg("--show-keys", "--with-colons", given=text)
            keys = _fingerprints(done.stdout, "pub")
            if done.returncode or len(keys) != 1:
                raise CoursehubError(f"{shown} is not one public key; write it again with 'coursehub secrets key'")
            found[keys[0]] = path
        return found

    def private_keys(self) -> list[str]:
        """Fingerprints of the private keys on this computer."""
        if not (self.home / "pubring.kbx").exists():
            return []
        with self.agent():
            return _fingerprints(self._gpg("--list-secret-keys", "--with-colons").stdout, "sec")

    def ensure_key(self, report: Report = lambda _: None) -> str:
        """The fingerprint of this computer's key.

        The key is made at the first call, and its public half put into the repository.
        """
        ensure_gnupg(report)
        with self.agent():
            fingerprint = self._own_key(report)
            self._publish(fingerprint)
        return fingerprint

    def _own_key(self, report: Report = lambda _: None) -> str:
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.home.chmod(0o700)
        with self.agent(), (self.home / ".coursehub.making").open("a") as making:
            # Two verbs at the same time must not make two keys.
            fcntl.flock(making, fcntl.LOCK_EX)
            have = self.private_keys()
            if not have:
                report(f"making the key that opens this repository's secrets, in {self.home}; keep a copy of it")
                made = self._gpg(
                    *("--pinentry-mode", "loopback", "--passphrase", ""),
                    *("--quick-generate-key", f"coursehub ({getpass.getuser()} at {socket.gethostname()})"),
                    *("future-default", "default", "never"),
                )
                have = self.private_keys()
                if made.returncode or not have:
                    raise CoursehubError(
                        f"no key could be made in {self.home}: {_last(made.stderr)}; fix that and run this again"
                    )
        return have[0]

    def _publish(self, fingerprint: str) -> None:
        path = self.public_keys / f"{fingerprint[-16:].lower()}.asc"
        if path.exists():
            return
        exported = self._gpg("--armor", "--export-options", "export-minimal", "--export", fingerprint)
        write_whole(path, exported.stdout)

    def export_private(self) -> str:
        """This computer's private keys, armoured. Write them only into a file that is encrypted."""
        with self.agent():
            done = self._gpg("--armor", "--export-secret-keys", *self.private_keys())
        if done.returncode or "PRIVATE KEY" not in done.stdout:
            raise CoursehubError(f"the key in {self.home} could not be read: {_last(done.stderr)}; look there")
        return done.stdout

    def import_private(self, armoured: str, accepted: Iterable[str]) -> None:
        """Add private keys of another computer, and the fingerprints that were accepted there."""
        ensure_gnupg(fail)
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.home.chmod(0o700)
        with self.agent():
            done = self._gpg("--import", given=armoured)
            if not self.private_keys():
                raise CoursehubError(f"the key could not be put into {self.home}: {_last(done.stderr)}; look there")
        known = sorted({*self.accepted(), *accepted})
        (self.home / _ACCEPTED).write_text("".join(f"{one}\n" for one in known), encoding="ascii")

    def accepted(self) -> list[str]:
        """Fingerprints that a teacher at this computer agreed to; empty before its first use."""
        path = self.home / _ACCEPTED
        return path.read_text(encoding="ascii").split() if path.exists() else []

    def encrypt(self, text: str) -> str:
        """``text`` as one armoured message for all recipients.

        Raises CoursehubError if gpg refuses, or if there is a key that was not accepted with ``accept``: push access to
        the repository alone must not give access to secrets.
        """
        self.ensure_key()
        recipients = self.recipients()
        accepted = self._accepted(recipients)
        strangers = [path for fingerprint, path in recipients.items() if fingerprint not in accepted]
        if strangers:
            raise CoursehubError(
                f"{self.project.shown(strangers[0])} is new: whose key is it? Remove it, or encrypt everything for it "
                "too with 'coursehub secrets rotate'"
            )
        files = [part for path in recipients.values() for part in ("--recipient-file", str(path))]
        done = self._gpg("--armor", "--trust-model", "always", *files, "--encrypt", given=text)
        if done.returncode:
            raise CoursehubError(
                f"encrypting failed: {_last(done.stderr)}; look at {self.project.shown(self.public_keys)}"
            )
        return done.stdout

    def seal(self, text: str) -> str:
        """``text`` as one armoured message for this computer's key only: for content that never goes into git."""
        ensure_gnupg(fail)
        with self.agent():
            mine = self._own_key()
            done = self._gpg("--armor", "--trust-model", "always", "--recipient", mine, "--encrypt", given=text)
        if done.returncode:
            raise CoursehubError(f"encrypting failed: {_last(done.stderr)}; look at {self.home}")
        return done.stdout

    def accept(self) -> list[Path]:
        """Accept all keys that are in the repository now; return the new ones."""
        recipients = self.recipients()
        accepted = self._accepted(recipients)
        (self.home / _ACCEPTED).write_text("".join(f"{one}\n" for one in sorted(accepted | recipients.keys())))
        return [path for fingerprint, path in recipients.items() if fingerprint not in accepted]

    def _accepted(self, recipients: Iterable[str]) -> set[str]:
        """The accepted keys on this computer.

        At first use all present keys are accepted, as git does with the content itself.
        """
        path = self.home / _ACCEPTED
        if not path.exists():
            path.write_text("".join(f"{one}\n" for one in sorted(recipients)), encoding="ascii")
        return {*path.read_text(encoding="ascii").split(), *self.private_keys()}

    def decrypt(self, message: str, shown: str) -> str:
        """The text of an armoured message; ``shown`` names its place for errors.

        Raises CoursehubError: no GnuPG, no key here, a message for other keys, a damaged message.
        """
        ensure_gnupg(fail)
        with self.agent():
            if not self.private_keys():
                raise CoursehubError(
                    f"{shown} is encrypted and {self.home} has no key; copy yours there, or run 'coursehub secrets "
                    "key', commit the new file and have a colleague run 'coursehub secrets rotate'"
                )
            done = self._gpg("--decrypt", given=message)
        if done.returncode == 0:
            return done.stdout
        if "No secret key" in done.stderr:
            raise CoursehubError(
                f"{shown} is not encrypted for your key; have a colleague who can read it run 'coursehub secrets "
                "rotate' once your public key is in git ('coursehub secrets key')"
            )
        raise CoursehubError(f"{shown} is damaged ({_last(done.stderr)}); take the last good version from git")

    @contextlib.contextmanager
    def agent(self) -> Iterator[None]:
        """Context for everything that starts a gpg-agent: the last one to leave it stops the agent."""
        if not self.home.is_dir():
            yield
            return
        with (self.home / ".coursehub.agent").open("a") as use:
            fcntl.flock(use, fcntl.LOCK_SH)
            try:
                yield
            finally:
                with contextlib.suppress(BlockingIOError):
                    fcntl.flock(use, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    subprocess.run(
                        ["gpgconf", "--homedir", str(self.home), "--kill", "gpg-agent"],
                        capture_output=True,
                        check=False,
                        timeout=_SECONDS,
                    )

    def tell_salt(self) -> None:
        """Make salt-ssh, also when typed by hand, use the same key directory."""
        path = self.project.state / "salt.d" / "keys.conf"
        text = yaml.safe_dump({"gpg_keydir": str(self.home)})
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            write_private(path, text)

    def _gpg(self, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
        need_gnupg()
        command = ["gpg", "--homedir", str(self.home), "--batch", "--no-tty", "--quiet", "--status-fd", "2"]
        try:
            return subprocess.run(
                [*command, "--no-auto-check-trustdb", *arguments],
                input=given,
                capture_output=True,
                text=True,
                encoding="utf-8",
                errors="replace",
                timeout=_SECONDS,
                check=False,
                # Its messages are parsed and shown, so they must be in English.
                env={**os.environ, "LC_ALL": "C.UTF-8", "LANGUAGE": "C"},
            )
        except subprocess.TimeoutExpired as error:
            raise CoursehubError(
                f"gpg did not answer within {_SECONDS} s; look at {self.home} for old lock files"
            ) from error


def need_gnupg() -> None:
    """Raise CoursehubError if GnuPG is missing."""
    if not (shutil.which("gpg") and shutil.which("gpgconf") and shutil.which("gpg-agent")):
        raise CoursehubError(f"GnuPG is missing; run 'sudo apt-get install {PACKAGE}', then this again")


def ensure_gnupg(report: Report) -> None:
    """Install GnuPG if possible and say so first; otherwise raise CoursehubError."""
    if shutil.which("gpg") and shutil.which("gpgconf") and shutil.which("gpg-agent"):
        return
    if os.geteuid() == 0 and shutil.which("apt-get"):
        report(f"installing the Debian package {PACKAGE}")
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (
            ["apt-get", "-qq", "update"],
            ["apt-get", "-qq", "install", "-y", "--no-install-recommends", PACKAGE],
        ):
            subprocess.run(command, capture_output=True, env=environment, check=False)
    need_gnupg()


def _fingerprints(colons: str, kind: str) -> list[str]:
    """The primary keys' fingerprints in gpg's colon format (its doc/DETAILS)."""
    found, primary = [], False
    for line in colons.splitlines():
        fields = line.split(":")
        if fields[0] == kind:
            primary = True
        elif fields[0] == "fpr" and primary:
            found.append(fields[9])
            primary = False
    return found


def _last(stderr: str) -> str:
    said = [line for line in stderr.splitlines() if line.startswith("gpg:")]
    return said[-1].removeprefix("gpg:").strip() if said else "gpg gave no reason"
