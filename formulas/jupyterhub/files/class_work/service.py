"""A page on which teachers look into students' work: read-only, as the student, and each look is logged.

A service of the hub, in a unit of its own. It opens no file of a home itself: that does ``reader``, a process for each
request that has the student's rights and no others (``reading``). ``pages`` shows what comes out of it.
"""

import asyncio
import json
import os
import re
import sys
from pathlib import Path

from jupyterhub.services.auth import HubOAuth, HubOAuthCallbackHandler
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_unix_socket
from tornado.web import Application

from class_work.pages import PeoplePage, WorkPage
from class_work.places import People, Settings
from class_work.reading import Readers

# New with each start: a session is then made again by the hub, unseen.
COOKIE_SECRET = os.urandom(32)
# Seconds. Unix groups are asked at each request; the hub is asked this often whether the session is still one.
SESSION_KNOWN = 30


def application(settings: Settings) -> Application:
    """Return the pages below the service's address."""
    shared = {"settings": settings, "people": People(settings), "readers": Readers(settings)}
    prefix = re.escape(settings.prefix)
    return Application(
        [
            (prefix, PeoplePage, shared),
            (f"{prefix}oauth_callback", HubOAuthCallbackHandler),
            (f"{prefix}(of|team)/([a-z_][a-z0-9_-]*)/.*", WorkPage, shared),
        ],
        cookie_secret=COOKIE_SECRET,
        log_function=lambda _: None,
    )


async def main(path: str) -> None:
    """Serve for as long as the unit runs."""
    settings = Settings(**json.loads(Path(path).read_text(encoding="utf-8")))
    # The one that all pages use (HubAuthenticated.hub_auth).
    HubOAuth.instance(
        api_token=os.environ.pop("STUDENTS_WORK_TOKEN"),
        api_url=settings.hub_api,
        base_url=settings.prefix,
        hub_host=settings.subdomain_host,
        oauth_redirect_uri=settings.callback,
        cookie_host_prefix_enabled=bool(settings.subdomain_host),
        hub_prefix=f"{settings.base_url}hub/",
        oauth_client_id=f"service-{settings.service}",
        access_scopes={f"access:services!service={settings.service}"},
        cache_max_age=SESSION_KNOWN,
        cookie_options={"samesite": "Lax"},
    )
    server = HTTPServer(application(settings))
    # Its directory lets in the proxy alone.
    server.add_socket(bind_unix_socket(settings.socket, mode=0o660))
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
