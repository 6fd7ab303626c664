"""Moves a certificate from a course's last server to its next one.

Let's Encrypt issues at most five certificates for the same names in seven days, and each new server would use up one.
`give` exports what the next server needs. `take` stores it where certbot keeps its own, so that certbot renews it.

Only keys and certificates are moved. Certbot's renewal file is written here instead: it names commands that root runs,
and an attacker on the old server must not choose those of the next one.
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import json
import re
from pathlib import Path
from typing import Any

from coursehub_cert import authority, doors, places
from coursehub_cert.certificate import AUTHENTICATORS, parts, renewal_file
from coursehub_cert.config import DNS, Config

KINDS = ("cert", "privkey", "chain", "fullchain")
ACCOUNT_FILES = ("meta.json", "private_key.json", "regr.json")
_ACCOUNT = re.compile(r"[0-9a-f]{32}")


@dataclasses.dataclass(frozen=True)
class Carried:
    """`pems` by kind (cert, privkey, chain, fullchain); `files` of the account at the CA by name."""

    directory: str
    pems: dict[str, str]
    account: str
    files: dict[str, str]

    @classmethod
    def read(cls, text: str) -> Carried:
        """Parse the output of `give`. Raises ValueError if it is anything else."""
        raw = json.loads(text)
        try:
            carried = cls(raw["directory"], raw["pems"], raw["account"], raw["files"])
            texts = [carried.directory, *carried.pems.values(), *carried.files.values()]
            whole = set(carried.pems) == set(KINDS) and set(carried.files) == set(ACCOUNT_FILES)
            if not whole or not _ACCOUNT.fullmatch(carried.account) or not all(isinstance(one, str) for one in texts):
                raise ValueError("it is incomplete")
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"it is incomplete: {error!r}") from None
        return carried


def fingerprint(config: Config) -> str:
    """The SHA-256 of the certificate with its chain; empty if there is none."""
    try:
        return hashlib.sha256((config.lineage / "fullchain.pem").read_bytes()).hexdigest()
    except OSError:
        return ""


def give(config: Config, known: str) -> str:
    """What the next server needs, as JSON. Empty if there is no certificate, or if its fingerprint is `known`."""
    if not config.names or fingerprint(config) in ("", known):
        return ""
    try:
        account = re.search(r"^account = ([0-9a-f]{32})$", renewal_file(config).read_text(), re.MULTILINE)
        directory = re.search(r"^server = (\S+)$", renewal_file(config).read_text(), re.MULTILINE)
        if not account or not directory:
            return ""
        there = _account_directory(directory[1]) / account[1]
        carried = Carried(
            directory[1],
            {kind: (config.lineage / f"{kind}.pem").read_text() for kind in KINDS},
            account[1],
            {name: (there / name).read_text() for name in ACCOUNT_FILES},
        )
    except OSError:
        return ""
    return json.dumps({"fingerprint": fingerprint(config), **dataclasses.asdict(carried)})


def take(config: Config) -> str:
    """Install a certificate that was sent here, then delete what was sent.

    Returns why it cannot be used, or an empty string.
    """
    source = places.CARRIED
    try:
        text = source.read_text()
    except OSError:
        return ""
    try:
        # Certbot already has a certificate; that one is kept.
        if any(part.exists() for part in parts(config)):
            return ""
        carried = Carried.read(text)
        if why := unfit(config, carried, datetime.datetime.now(datetime.UTC)):
            return why
        _write(config, carried)
    except ValueError as error:
        return str(error)
    finally:
        source.unlink(missing_ok=True)
    return ""


def unfit(config: Config, carried: Carried, now: datetime.datetime) -> str:
    """Why a certificate cannot be used here, or an empty string."""
    from cryptography import x509  # comes with certbot
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    found = x509.load_pem_x509_certificate(carried.pems["fullchain"].encode())
    key = load_pem_private_key(carried.pems["privkey"].encode(), None)
    try:
        said = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = frozenset(said.get_values_for_type(x509.DNSName))
    except x509.ExtensionNotFound:
        names = frozenset()
    expires = getattr(found, "not_valid_after_utc", None) or found.not_valid_after.replace(tzinfo=datetime.UTC)
    days = (expires - now).total_seconds() / 86400
    if names != frozenset(config.names):
        return f"it is for {', '.join(sorted(names))}"
    if carried.directory != config.directory:
        return f"it is from {carried.directory}"
    if days <= config.carried_days:
        return f"it is valid for only {days:.0f} more days"
    if x509.load_pem_x509_certificate(carried.pems["cert"].encode()) != found:
        return "its files belong to two certificates"
    return "" if _public(key) == _public(found) else "its key belongs to another certificate"


def _public(holder: Any) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    found: bytes = holder.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return found


def _write(config: Config, carried: Carried) -> None:
    """Write the files where certbot keeps its own. The renewal file is last: without it there is no lineage yet."""
    name = config.names[0]
    there = _account_directory(carried.directory) / carried.account
    for file in ACCOUNT_FILES:
        places.write_atomically(_private(there) / file, carried.files[file])
    archive = _private(places.LETSENCRYPT / "archive") / name
    archive.mkdir()
    for kind in KINDS:
        places.write_atomically(archive / f"{kind}1.pem", carried.pems[kind], 0o600 if kind == "privkey" else 0o644)
    _private(config.lineage.parent)
    config.lineage.mkdir()
    for kind in KINDS:
        (config.lineage / f"{kind}.pem").symlink_to(f"../../archive/{name}/{kind}1.pem")
    places.write_atomically(renewal_file(config), renewal(config, carried), 0o644)


def _private(directory: Path) -> Path:
    for one in reversed([directory, *directory.parents]):
        if places.LETSENCRYPT in one.parents:
            one.mkdir(mode=0o700, exist_ok=True)
    return directory


def _account_directory(server: str) -> Path:
    return places.LETSENCRYPT / "accounts" / server.split("://", 1)[-1].rstrip("/")


def renewal(config: Config, carried: Carried) -> str:
    """Certbot's renewal file for this server, the same as after an order with `authority.certbot_argv`."""
    lineage, archive = config.lineage, places.LETSENCRYPT / "archive" / config.names[0]
    lines = ["version = 2.1.0", f"archive_dir = {archive}", *(f"{kind} = {lineage}/{kind}.pem" for kind in KINDS)]
    lines += ["[renewalparams]", f"account = {carried.account}", "key_type = ecdsa", f"server = {carried.directory}"]
    lines.append(f"authenticator = {AUTHENTICATORS[config.challenge]}")
    if config.challenge == DNS:
        lines += [
            "pref_challs = dns-01,",
            f"pre_hook = {places.COMMAND} open",
            f"post_hook = {places.COMMAND} close",
            f"dns_standalone_address = {doors.listening_address(config)}",
            f"dns_standalone_ipv6_address = {authority.LOOPBACK}",
        ]
    else:
        lines += [f"webroot_path = {config.webroot},", "[[webroot_map]]"]
        lines += [f"{name} = {config.webroot}" for name in config.names]
    return "\n".join(lines) + "\n"
