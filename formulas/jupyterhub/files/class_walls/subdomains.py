"""A host name below the hub's for each server and service, so that a browser separates them as different origins.

Pages under such a name may still set cookies for the names above it ("cookie tossing"). Important cookies are therefore
``__Host-`` cookies, which no other name can set or see.
"""

from __future__ import annotations

import hashlib
from typing import Any

from jupyterhub.handlers import base

#: The hub's session: a logout ends everything that was opened in it. ``__Host-``, so that no page can replace it.
HUB_SESSION = "__Host-jupyterhub-session-id"
#: Servers and services read the session from this cookie. It only keeps their XSRF tokens the same while a laptop
#: changes networks. It reveals nothing about the hub's session.
SERVERS_SESSION = "jupyterhub-session-id"


def configure(config: Any, host: str) -> None:
    """Configure the hub for names below ``host``, such as https://hub.example.edu."""
    config.JupyterHub.subdomain_host = host
    config.JupyterHub.cookie_host_prefix_enabled = True
    keep_the_session(base)


def keep_the_session(handlers: Any) -> None:
    """Make JupyterHub's handlers keep the session in a cookie that only the hub can set.

    JupyterHub itself sets it for all names below the hub's, and accepts it from any of them.
    """
    handlers.SESSION_COOKIE_NAME = HUB_SESSION
    # All pages of the hub set their cookies through this class.
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
    """Return the value that servers see of a session."""
    return hashlib.sha256(f"for servers: {session}".encode()).hexdigest()[:32]
