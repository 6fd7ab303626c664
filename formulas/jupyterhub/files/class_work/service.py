"""A page on which teachers look into students' work: read-only, as the student, and each look is logged.

It is a service of the hub in its own unit. It opens no file of a home itself: for each request it starts ``reader``, a
process that has only the student's rights (``reading``). ``pages`` shows the result.
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

# New at each start: the hub then makes a new session without the person noticing.
COOKIE_SECRET = os.urandom(32)
# Seconds. Unix groups are checked at each request; the hub is asked this often whether the session is still valid.
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
    # All pages use this instance (HubAuthenticated.hub_auth).
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
    # Only the proxy can enter its directory.
    server.add_socket(bind_unix_socket(settings.socket, mode=0o660))
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
