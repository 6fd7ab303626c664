"""Names below a course's domain."""

from __future__ import annotations

import hashlib
import re

#: The name prefix that a certificate authority queries for a DNS-01 challenge (RFC 8555, 8.4).
CHALLENGE = "_acme-challenge."

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def server_label(account: str) -> str:
    """The first label of a person's server, as JupyterHub's ``subdomain_hook_idna`` makes it.

    It is the account if that is a valid label. ``--`` marks a label that JupyterHub made up.
    """
    if _LABEL.fullmatch(account) and "--" not in account and not account.isnumeric():
        return account
    stub = "".join(letter for letter in account if letter.isascii() and letter.isalnum())[:8] or "x"
    return f"u-{stub}--{hashlib.sha256(account.encode()).hexdigest()[:7]}"


def service_label(service: str) -> str:
    """The same for one of the hub's services, such as ``students-work``."""
    return f"{server_label(service)}--service"
