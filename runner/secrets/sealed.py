"""Encrypts one file with a passphrase by GnuPG. ``gpg --decrypt FILE`` opens it anywhere, without coursehub."""

from __future__ import annotations

import os
import secrets
import subprocess
import tempfile

from runner.errors import USAGE, CoursehubError
from runner.secrets.vault import need_gnupg

#: Smallest length of a passphrase. Anybody who finds the file can try as many passphrases as they like.
MIN_LETTERS = 16
_SECONDS = 120
#: Letters and digits that cannot be mistaken for each other.
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
#: GnuPG's slowest key derivation, against guessing.
_SLOW = ("--s2k-mode", "3", "--s2k-digest-algo", "SHA512", "--s2k-count", "65011712", "--cipher-algo", "AES256")


def make_passphrase() -> str:
    """A random passphrase (118 bits), in groups that are easy to type from paper."""
    groups = ("".join(secrets.choice(_LETTERS) for _ in range(4)) for _ in range(6))
    return "-".join(groups)


def need_strong(passphrase: str) -> None:
    """Refuse a passphrase that can be guessed. Raises CoursehubError (2)."""
    if len(passphrase) < MIN_LETTERS or len(set(passphrase)) < MIN_LETTERS // 2 or "\n" in passphrase:
        raise CoursehubError(
            f"the passphrase needs at least {MIN_LETTERS} letters, such as five words; use a longer one",
            exit_code=USAGE,
        )


def seal(content: bytes, passphrase: str) -> bytes:
    """Encrypt ``content``. Raises CoursehubError if GnuPG fails."""
    done = _gpg(content, passphrase, "--symmetric", *_SLOW)
    if done.returncode:
        raise CoursehubError(f"encrypting failed: {_said(done)}; look at 'gpg --version'")
    return done.stdout


def unseal(content: bytes, passphrase: str, shown: str) -> bytes:
    """Decrypt what ``seal`` returned. Raises CoursehubError for a wrong passphrase or a damaged file.

    ``shown`` names the file in errors.
    """
    done = _gpg(content, passphrase, "--decrypt")
    if done.returncode == 0:
        return done.stdout
    if b"Bad session key" in done.stderr:
        raise CoursehubError(f"{shown}: the passphrase is wrong, or the file is damaged; type it as on the sheet")
    raise CoursehubError(f"{shown} is damaged or not a backup of keys ({_said(done)}); use another copy of it")


def _said(done: subprocess.CompletedProcess[bytes]) -> str:
    lines = [line for line in done.stderr.decode(errors="replace").splitlines() if line.startswith("gpg: ")]
    return lines[-1].removeprefix("gpg: ") if lines else "gpg gave no reason"


def _gpg(content: bytes, passphrase: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    need_gnupg()
    reading, writing = os.pipe()
    with tempfile.TemporaryDirectory(prefix="coursehub-") as home:
        command = ["gpg", "--homedir", home, "--batch", "--no-tty", "--quiet", "--no-symkey-cache"]
        command += ["--pinentry-mode", "loopback", "--passphrase-fd", str(reading), *arguments]
        try:
            with os.fdopen(writing, "wb") as pipe:
                pipe.write(passphrase.encode())
            return subprocess.run(
                command,
                input=content,
                capture_output=True,
                pass_fds=(reading,),
                timeout=_SECONDS,
                check=False,
                env={**os.environ, "LC_ALL": "C.UTF-8", "LANGUAGE": "C"},
            )
        except subprocess.TimeoutExpired as error:
            raise CoursehubError(f"gpg did not answer within {_SECONDS} s; run this again") from error
        finally:
            os.close(reading)
            kill = ["gpgconf", "--homedir", home, "--kill", "gpg-agent"]
            subprocess.run(kill, capture_output=True, check=False, timeout=_SECONDS)
