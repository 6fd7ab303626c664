"""The way for the CA's questions about DNS: open while a certificate is ordered, shut otherwise.

Nothing listens on port 53 but certbot's own answerer, for the seconds of an order. Certbot calls `open` and `close`
around it as its hooks, at a renewal by its own timer too.
"""

from __future__ import annotations

import subprocess

from coursehub_cert.config import Config
from coursehub_cert.names import interfaces

ANY = "0.0.0.0"  # noqa: S104 - the firewall shuts it but for the seconds of an order


def listening_address(config: Config) -> str:
    """The IPv4 address to answer at: the public one where an interface has it, else all."""
    here = interfaces()
    return next((address for address in config.addresses if "." in address and address in here), ANY)


def open_dns(config: Config) -> str:
    """Let questions in. An empty string, or why they are not."""
    return _run(config.open_dns)


def close_dns(config: Config) -> str:
    """Shut again. An empty string, or why it is still open."""
    return _run(config.close_dns)


def _run(argv: tuple[str, ...]) -> str:
    if not argv:
        return ""
    try:
        done = subprocess.run(list(argv), check=False, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"'{' '.join(argv)}' failed: {error}"
    return "" if done.returncode == 0 else f"'{' '.join(argv)}' failed: {done.stderr.strip()[-200:]}"
