"""Restic whose new repositories open at once: half the time of a test went into the key derivation of restic's start.

Run as a program with a restic's path and its arguments, it runs that restic. After an ``init`` into a directory, it
encrypts the repository's key again, with a derivation that costs nothing. The format is restic's own, see its design
document (https://restic.readthedocs.io/en/stable/100_references.html#keys-encryption-and-mac).
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.poly1305 import Poly1305

#: The least that restic takes.
CHEAP = {"N": 2, "r": 1, "p": 1}
_NONCE = _TAG = 16


def wrapper(program: str, directory: Path) -> str:
    """Write a ``restic`` into ``directory`` that runs ``program`` with cheap keys; return its path."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "restic"
    fresh = path.with_suffix(f".{os.getpid()}")
    # Only `init` pays for a Python.
    fresh.write_text(
        f'#!/bin/sh\ncase " $* " in *" init "*) exec "{sys.executable}" "{__file__}" "{program}" "$@";; esac\n'
        f'exec "{program}" "$@"\n',
        encoding="utf-8",
    )
    fresh.chmod(0o755)
    fresh.replace(path)
    return str(path)


def cheapen(repository: Path, password: bytes) -> None:
    """Replace each key of the repository by one that is the same key, encrypted with a cheap derivation."""
    for path in list((repository / "keys").iterdir()):
        key: dict[str, Any] = json.loads(path.read_bytes())
        clear = _decrypt(key, password)
        key.update(CHEAP)
        key["data"] = base64.b64encode(_encrypt(key, password, clear)).decode()
        text = json.dumps(key).encode()
        # restic compares each file with its name.
        (path.parent / hashlib.sha256(text).hexdigest()).write_bytes(text)
        path.unlink()


def _derived(key: dict[str, Any], password: bytes) -> tuple[bytes, bytes, bytes]:
    """What restic derives from a password: the encryption's key, and k and r of Poly1305-AES."""
    cost = {"n": key["N"], "r": key["r"], "p": key["p"], "maxmem": 2**28}
    made = hashlib.scrypt(password, salt=base64.b64decode(key["salt"]), dklen=64, **cost)
    return made[:32], made[32:48], made[48:]


def _crypt(secret: bytes, nonce: bytes, data: bytes) -> bytes:
    """AES in counter mode, the same in both directions."""
    return Cipher(algorithms.AES(secret), modes.CTR(nonce)).encryptor().update(data)


def _tag(k: bytes, r: bytes, nonce: bytes, data: bytes) -> bytes:
    """Poly1305-AES of ``data``."""
    masked = Cipher(algorithms.AES(k), modes.ECB()).encryptor().update(nonce)
    return Poly1305.generate_tag(r + masked, data)


def _decrypt(key: dict[str, Any], password: bytes) -> bytes:
    secret, k, r = _derived(key, password)
    data = base64.b64decode(key["data"])
    nonce, text, tag = data[:_NONCE], data[_NONCE:-_TAG], data[-_TAG:]
    if _tag(k, r, nonce, text) != tag:
        raise ValueError("wrong password, or another format of keys")
    return _crypt(secret, nonce, text)


def _encrypt(key: dict[str, Any], password: bytes, clear: bytes) -> bytes:
    secret, k, r = _derived(key, password)
    nonce = os.urandom(_NONCE)
    text = _crypt(secret, nonce, clear)
    return nonce + text + _tag(k, r, nonce, text)


def main(program: str, *arguments: str) -> int:
    """Run restic; after a successful ``init`` of a directory, make its keys cheap."""
    code = subprocess.run([program, *arguments], check=False).returncode
    repository = Path(os.environ.get("RESTIC_REPOSITORY", ""))
    password = os.environ.get("RESTIC_PASSWORD_FILE")
    if not code and password and (repository / "keys").is_dir():
        # restic ignores white space at both ends.
        cheapen(repository, Path(password).read_bytes().strip())
    return code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
