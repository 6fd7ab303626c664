"""Names below a course's domain, as DNS and browsers know them."""

from __future__ import annotations

import hashlib
import re

#: Where a certificate authority looks for the answer of a DNS-01 challenge (RFC 8555, 8.4).
CHALLENGE = "_acme-challenge."

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def server_label(account: str) -> str:
    """The first part of the name of a person's server, as JupyterHub's ``subdomain_hook_idna`` makes it.

    It is the account where that can be a part of a host name. ``--`` is JupyterHub's mark of a made-up one.
    """
    if _LABEL.fullmatch(account) and "--" not in account and not account.isnumeric():
        return account
    stub = "".join(letter for letter in account if letter.isascii() and letter.isalnum())[:8] or "x"
    return f"u-{stub}--{hashlib.sha256(account.encode()).hexdigest()[:7]}"


def service_label(service: str) -> str:
    """The same for one of the hub's services, such as ``students-work``."""
    return f"{server_label(service)}--service"
