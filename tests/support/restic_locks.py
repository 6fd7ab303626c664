"""Locks of other hosts in a restic repository, made with any age.

The format is restic's own (its doc/design.rst): JSON, encrypted by AES-256-CTR and signed by Poly1305-AES.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import json
import os
from pathlib import Path

from coursehub_backup.restic import Restic
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.poly1305 import Poly1305


def add(restic: Restic, repository: Path, age: datetime.timedelta) -> Path:
    """Write an exclusive lock of another host, which was refreshed so long ago. Returns its file."""
    lock = {
        "time": (datetime.datetime.now().astimezone() - age).isoformat(),
        "exclusive": True,
        "hostname": "another-host",
        "username": "root",
        "pid": 4242,
    }
    sealed = _sealed(json.loads(restic.run("cat", "masterkey").stdout), json.dumps(lock).encode())
    path = repository / "locks" / hashlib.sha256(sealed).hexdigest()
    path.write_bytes(sealed)
    return path


def _sealed(key: dict[str, object], clear: bytes) -> bytes:
    nonce = os.urandom(16)
    mac = key["mac"]
    assert isinstance(mac, dict)
    secret = _aes(_bytes(key["encrypt"]), modes.CTR(nonce), clear)
    # Poly1305-AES: the second half of the one-time key is the encrypted nonce.
    once = _bytes(mac["r"]) + _aes(_bytes(mac["k"]), modes.ECB(), nonce)
    return nonce + secret + Poly1305.generate_tag(once, secret)


def _aes(key: bytes, mode: modes.Mode, clear: bytes) -> bytes:
    encryptor = Cipher(algorithms.AES(key), mode).encryptor()
    return encryptor.update(clear) + encryptor.finalize()


def _bytes(text: object) -> bytes:
    return base64.b64decode(str(text))
