"""Open the firewall for the CA's DNS questions while a certificate is ordered, and close it afterwards.

Only certbot's own plugin listens on port 53, for the seconds of an order. Certbot calls `open` and `close` as its hooks
before and after that, also at a renewal by its own timer.
"""

from __future__ import annotations

import subprocess

from coursehub_cert.config import Config
from coursehub_cert.names import interfaces

ANY = "0.0.0.0"  # noqa: S104 - the firewall closes it except for the seconds of an order


def listening_address(config: Config) -> str:
    """Return the IPv4 address to listen on: the public one if an interface has it, otherwise all."""
    here = interfaces()
    return next((address for address in config.addresses if "." in address and address in here), ANY)


def open_dns(config: Config) -> str:
    """Open the port. Return an empty string, or why it is not open."""
    return _run(config.open_dns)


def close_dns(config: Config) -> str:
    """Close the port. Return an empty string, or why it is still open."""
    return _run(config.close_dns)


def _run(argv: tuple[str, ...]) -> str:
    if not argv:
        return ""
    try:
        done = subprocess.run(list(argv), check=False, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"'{' '.join(argv)}' failed: {error}"
    return "" if done.returncode == 0 else f"'{' '.join(argv)}' failed: {done.stderr.strip()[-200:]}"
