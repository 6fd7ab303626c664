"""Decide whether to ask the CA, and for which names."""

from __future__ import annotations

import datetime

from coursehub_cert.certificate import Certificate
from coursehub_cert.config import Config
from coursehub_cert.names import Dns

RENEW_DAYS = 25  # certbot renews at 30: below that it has failed for five days


def reason_to_ask(
    config: Config, certificate: Certificate | None, dns: Dns, now: datetime.datetime
) -> tuple[str, tuple[str, ...]]:
    """Return why to ask the CA, and for which names; an empty reason if there is no need.

    A name that left DNS stays in the certificate until the next renewal is due. Then it is left out, because one such
    name would make renewal fail for all.
    """
    if not dns.here:
        return "", ()
    if reason := _for_all(config, certificate, now):
        return reason, dns.here
    covered = certificate.names if certificate else frozenset()
    new = [name for name in dns.here if name not in covered]
    if not new:
        return "", ()
    return f"new in DNS: {', '.join(new)}", tuple(
        name for name in config.names if name in dns.here and (name in covered or name in new)
    )


def _for_all(config: Config, certificate: Certificate | None, now: datetime.datetime) -> str:
    """Return why a new certificate is needed for all names; empty if it is not."""
    if certificate is None:
        return "no certificate yet"
    if certificate.directory != config.directory:
        return f"the ACME server is now {config.directory}"
    if certificate.challenge != config.challenge:
        return f"it would not be renewed by {config.challenge}"
    days = certificate.days_left(now)
    return f"it expires in {days:.0f} days and certbot's timer has not renewed it" if days < RENEW_DAYS else ""
