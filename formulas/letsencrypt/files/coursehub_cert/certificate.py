"""What certbot has on the disk, whole or half made."""

from __future__ import annotations

import dataclasses
import datetime
import re
import time
from pathlib import Path

from coursehub_cert import places
from coursehub_cert.config import DNS, HTTP, Config

#: Certbot's authenticators by our word for a challenge; the second is Debian's python3-certbot-dns-standalone.
AUTHENTICATORS = {HTTP: "webroot", DNS: "dns-standalone"}


@dataclasses.dataclass(frozen=True)
class Certificate:
    """What the certificate on disk says; `directory` is the ACME server that certbot had it from.

    `challenge` is how certbot would renew it, empty if that is none of ours.
    """

    names: frozenset[str]
    expires: datetime.datetime
    directory: str
    challenge: str = HTTP

    def days_left(self, now: datetime.datetime) -> float:
        """Days until it expires; negative when it has."""
        return (self.expires - now).total_seconds() / 86400


def read_certificate(config: Config) -> Certificate | None:
    """What certbot has for the first name, or None if there is none that can be read."""
    from cryptography import x509  # comes with certbot; half a second that a quiet run does without

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
    """What certbot knows of this certificate."""
    return places.LETSENCRYPT / "renewal" / f"{config.names[0]}.conf"


def parts(config: Config) -> tuple[Path, ...]:
    """All that certbot keeps of this certificate."""
    return renewal_file(config), config.lineage, places.LETSENCRYPT / "archive" / config.names[0]


def half_made(config: Config) -> bool:
    """Whether a kill caught certbot while it wrote this certificate down.

    It would not repair that: its next certificate would get another name (`NAME-0001`), which no web server reads.
    """
    try:
        pems = [config.lineage / f"{kind}.pem" for kind in ("cert", "privkey", "chain", "fullchain")]
        return "[renewalparams]" not in renewal_file(config).read_text() or not all(pem.stat().st_size for pem in pems)
    except OSError:
        return any(part.exists() for part in parts(config))


def put_half_made_aside(config: Config) -> dict[Path, Path]:
    """Make room for a whole certificate; where each part was, and where it is now."""
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
