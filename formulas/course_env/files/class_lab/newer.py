"""Says in Lab that the course has got other packages since this server started; a restart of the server gets them."""

import json
import os
from pathlib import Path

from jupyter_server.base.handlers import APIHandler
from tornado import web


def is_newer(link: str, running: str) -> bool:
    """Return whether ``link``, the course's current environment, leads to another one than the ``running`` one."""
    return bool(link and running) and Path(link).exists() and os.path.realpath(link) != os.path.realpath(running)


class NewerPackages(APIHandler):
    """``GET`` answers {newer}: whether there is a newer environment than this server's."""

    # Lab asks by itself.
    _track_activity = False

    @web.authenticated
    def get(self) -> None:
        """Answer from the two variables that start-server sets."""
        newer = is_newer(os.environ.get("COURSEHUB_ENV_LINK", ""), os.environ.get("COURSEHUB_ENV", ""))
        self.finish(json.dumps({"newer": newer}))
