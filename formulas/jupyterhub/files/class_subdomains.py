"""A name below the hub's for each server and service, so that a browser keeps them apart as different origins.

Pages below a name may still set cookies for the names above it ("cookie tossing"). Cookies that count are therefore
``__Host-`` ones, which no other name can set or see.
"""

from __future__ import annotations

import hashlib
from typing import Any

from jupyterhub.handlers import base

#: The hub's session: a logout ends whatever was opened in it. Its own, so that no page can put another in its place.
HUB_SESSION = "__Host-jupyterhub-session-id"
#: Where servers and services look for a session. It only keeps their tokens against forged requests the same while
#: a laptop changes networks; nothing of the hub can be told from it.
SERVERS_SESSION = "jupyterhub-session-id"


def configure(config: Any, host: str) -> None:
    """Set the hub up for names below ``host``, such as https://hub.example.edu."""
    config.JupyterHub.subdomain_host = host
    config.JupyterHub.cookie_host_prefix_enabled = True
    keep_the_session(base)


def keep_the_session(handlers: Any) -> None:
    """Make JupyterHub's handlers keep the session in a cookie of the hub's own.

    JupyterHub sets it for all names below the hub's, and reads it back from whoever set it last.
    """
    handlers.SESSION_COOKIE_NAME = HUB_SESSION
    # The class that all pages of the hub have their cookies from.
    handler = handlers.BaseHandler
    set_cookie, clear_cookie = handler._set_cookie, handler.clear_cookie

    def set_both(self: Any, key: str, value: str, encrypted: bool = True, **options: Any) -> None:
        if key == HUB_SESSION:
            domain = options.pop("domain", None)
            if domain:
                set_cookie(self, SERVERS_SESSION, for_servers(value), encrypted, domain=domain, **options)
        set_cookie(self, key, value, encrypted, **options)

    def clear_both(self: Any, name: str, **options: Any) -> None:
        if name == HUB_SESSION:
            domain = options.pop("domain", None)
            if domain:
                clear_cookie(self, SERVERS_SESSION, domain=domain, **options)
        clear_cookie(self, name, **options)

    handler._set_cookie, handler.clear_cookie = set_both, clear_both


def for_servers(session: str) -> str:
    """What servers see of a session."""
    return hashlib.sha256(f"for servers: {session}".encode()).hexdigest()[:32]
