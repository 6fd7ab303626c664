"""Encrypts one file with a passphrase by GnuPG. ``gpg --decrypt FILE`` opens it anywhere, without coursehub."""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from typing import IO, TypedDict, cast

from runner.errors import USAGE, CoursehubError
from runner.secrets.vault import need_gnupg

#: Smallest length of a passphrase. Anybody who finds the file can try as many passphrases as they like.
MIN_LETTERS = 16
_SECONDS = 120
_PIECE = 1 << 20
#: Letters and digits that cannot be mistaken for each other.
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
#: GnuPG's slowest key derivation, against guessing.
_SLOW = ("--s2k-mode", "3", "--s2k-digest-algo", "SHA512", "--s2k-count", "65011712", "--cipher-algo", "AES256")


class _Options(TypedDict):
    """For ``subprocess``."""

    pass_fds: tuple[int, ...]
    env: dict[str, str]


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


@contextlib.contextmanager
def sealing(target: IO[bytes], passphrase: str) -> Iterator[IO[bytes]]:
    """Encrypt everything that the block writes, of any size, into ``target``.

    Raises CoursehubError if GnuPG fails, for example because the disk is full.
    """
    with (
        _command(passphrase, "--symmetric", *_SLOW, "--compress-level", "1") as (argv, options),
        _running(argv, options, subprocess.PIPE, target) as (gpg, said),
    ):
        pipe = cast("IO[bytes]", gpg.stdin)
        with contextlib.suppress(BrokenPipeError):
            yield pipe
            pipe.close()
        if gpg.wait():
            raise CoursehubError(f"encrypting failed: {_last_line(said())}; look at the free disk space")


@contextlib.contextmanager
def unsealing(source: IO[bytes], passphrase: str, shown: str) -> Iterator[IO[bytes]]:
    """Let the block read what ``sealing`` encrypted.

    Raises CoursehubError at the end for a wrong passphrase or a damaged file, and then nothing read was certain.
    ``shown`` names the file in errors.
    """
    with (
        _command(passphrase, "--decrypt") as (argv, options),
        _running(argv, options, source, subprocess.PIPE) as (gpg, said),
    ):
        pipe = cast("IO[bytes]", gpg.stdout)
        failure = None
        try:
            yield pipe
        except Exception as error:
            # What GnuPG says is nearer to the cause than what the reader of half a file says.
            failure = error
        # To the end: only there GnuPG knows whether the file is as it was written.
        while pipe.read(_PIECE):
            pass
        if gpg.wait():
            raise CoursehubError(f"{shown}: {_last_line(said())}; it is damaged, or the password is wrong")
        if failure:
            raise failure


@contextlib.contextmanager
def _running(
    argv: list[str], options: _Options, stdin: int | IO[bytes], stdout: int | IO[bytes]
) -> Iterator[tuple[subprocess.Popen[bytes], Callable[[], bytes]]]:
    """The running command, and a function for what it said on standard error. It never outlives the block."""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(argv, stdin=stdin, stdout=stdout, stderr=said, **options)
        try:
            yield process, lambda: (said.seek(0), said.read())[1]
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


def _said(done: subprocess.CompletedProcess[bytes]) -> str:
    return _last_line(done.stderr)


def _last_line(said: bytes) -> str:
    lines = [line for line in said.decode(errors="replace").splitlines() if line.startswith("gpg: ")]
    return lines[-1].removeprefix("gpg: ") if lines else "gpg gave no reason"


def _gpg(content: bytes, passphrase: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    with _command(passphrase, *arguments) as (argv, options):
        try:
            return subprocess.run(
                argv,
                input=content,
                capture_output=True,
                timeout=_SECONDS,
                check=False,
                **options,
            )
        except subprocess.TimeoutExpired as error:
            raise CoursehubError(f"gpg did not answer within {_SECONDS} s; run this again") from error


@contextlib.contextmanager
def _command(passphrase: str, *arguments: str) -> Iterator[tuple[list[str], _Options]]:
    """The command line, and options for ``subprocess``. The passphrase goes through a pipe."""
    need_gnupg()
    reading, writing = os.pipe()
    with tempfile.TemporaryDirectory(prefix="coursehub-") as home:
        command = ["gpg", "--homedir", home, "--batch", "--no-tty", "--quiet", "--no-symkey-cache"]
        command += ["--pinentry-mode", "loopback", "--passphrase-fd", str(reading), *arguments]
        try:
            with os.fdopen(writing, "wb") as pipe:
                pipe.write(passphrase.encode())
            yield command, {"pass_fds": (reading,), "env": {**os.environ, "LC_ALL": "C.UTF-8", "LANGUAGE": "C"}}
        finally:
            os.close(reading)
            kill = ["gpgconf", "--homedir", home, "--kill", "gpg-agent"]
            subprocess.run(kill, capture_output=True, check=False, timeout=_SECONDS)
