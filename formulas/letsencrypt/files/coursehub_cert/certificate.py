"""The certificate that certbot has on the disk, complete or half-written."""

from __future__ import annotations

import dataclasses
import datetime
import re
import time
from pathlib import Path

from coursehub_cert import places
from coursehub_cert.config import DNS, HTTP, Config

#: Certbot's authenticators by our name of a challenge; the second is Debian's python3-certbot-dns-standalone.
AUTHENTICATORS = {HTTP: "webroot", DNS: "dns-standalone"}


@dataclasses.dataclass(frozen=True)
class Certificate:
    """What the certificate on disk says. `directory` is the ACME server that issued it.

    `challenge` is how certbot would renew it; empty if that is none of ours.
    """

    names: frozenset[str]
    expires: datetime.datetime
    directory: str
    challenge: str = HTTP

    def days_left(self, now: datetime.datetime) -> float:
        """Return the days until it expires; negative if it has expired."""
        return (self.expires - now).total_seconds() / 86400


def read_certificate(config: Config) -> Certificate | None:
    """Return certbot's certificate for the first name, or None if there is none that can be read."""
    from cryptography import x509  # comes with certbot; its import takes half a second, which most runs do not need

    try:
        found = x509.load_pem_x509_certificate((config.lineage / "fullchain.pem").read_bytes())
        renewal = renewal_file(config).read_text()
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        expires = getattr(found, "not_valid_after_utc", None) or found.not_valid_after.replace(tzinfo=datetime.UTC)
        how = _setting(renewal, "authenticator")
        return Certificate(
            frozenset(names.get_values_for_type(x509.DNSName)),
            expires,
            _setting(renewal, "server"),
            next((challenge for challenge, name in AUTHENTICATORS.items() if name == how), ""),
        )
    except (OSError, ValueError, x509.ExtensionNotFound):
        return None


def _setting(renewal: str, key: str) -> str:
    found = re.search(rf"^{key}\s*=\s*(\S+)", renewal, re.MULTILINE)
    return found.group(1) if found else ""


def renewal_file(config: Config) -> Path:
    """Return the file with certbot's settings for the renewal of this certificate."""
    return places.LETSENCRYPT / "renewal" / f"{config.names[0]}.conf"


def parts(config: Config) -> tuple[Path, ...]:
    """Return everything that certbot keeps of this certificate."""
    return renewal_file(config), config.lineage, places.LETSENCRYPT / "archive" / config.names[0]


def half_made(config: Config) -> bool:
    """Return whether certbot was killed while it wrote this certificate.

    certbot does not repair that: its next certificate would get another name (`NAME-0001`), which no web server reads.
    """
    try:
        pems = [config.lineage / f"{kind}.pem" for kind in ("cert", "privkey", "chain", "fullchain")]
        return "[renewalparams]" not in renewal_file(config).read_text() or not all(pem.stat().st_size for pem in pems)
    except OSError:
        return any(part.exists() for part in parts(config))


def put_half_made_aside(config: Config) -> dict[Path, Path]:
    """Move a half-written certificate aside; return where each part was and where it is now."""
    if not half_made(config):
        return {}
    aside = places.LETSENCRYPT / f"half-made-{int(time.time())}"
    aside.mkdir(mode=0o700, parents=True, exist_ok=True)
    moved = {}
    for number, part in enumerate(parts(config)):
        if part.exists():
            moved[part] = aside / f"{number}-{part.name}"
            part.rename(moved[part])
    return moved
